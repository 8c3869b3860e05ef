"""Owns executables that stand for NVIDIA's, so that everything around them is tested where there is no GPU."""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
H200 = "0, GPU-d828b4f8-6348-6ade-0000-000000000000, NVIDIA H200, 580.159.04, Default, Disabled, 143771, 143100"


def install(monkeypatch: pytest.MonkeyPatch, *gpus: str) -> None:
    """Put them first on PATH, with these lines as nvidia-smi's answer; without any it fails."""
    monkeypatch.setenv("PATH", f"{FOLDER}{os.pathsep}{os.environ['PATH']}")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY", "FAKE_SMI"):
        monkeypatch.delenv(name, raising=False)
    if gpus:
        monkeypatch.setenv("FAKE_SMI", "\n".join(gpus))


def row_of_ps(pid: int, namespace: int, command: str = "python3") -> str:
    """A client, as the daemon lists it."""
    return f"{pid:<9} 1         513            GPU-d828b4f8-6348-6ade    {namespace:<14} {command:<14} \n"
