"""The doctor answers on any machine, says what is wrong, and tells it by its exit."""

import json
import os
from pathlib import Path

import pytest

from tests.support import fake_gpu
from tests.unit.cli.conftest import Splitwiser

NO_PROGRAMS = {"PATH": "/nonexistent", "CUDA_VISIBLE_DEVICES": "0"}


async def test_a_machine_without_a_gpu_is_told_what_it_lacks(splitwiser: Splitwiser) -> None:
    ended = await splitwiser("doctor", "--gpu", "--json", **NO_PROGRAMS)
    report = json.loads(ended.output)
    assert (ended.code, report["ok"]) == (1, False)
    found = {each["question"]: each for each in report["findings"]}
    assert found["GPU"]["answer"] == "there is no nvidia-smi, so no NVIDIA driver"
    assert found["MPS program"]["help"].startswith("it comes with the NVIDIA driver")


async def test_a_machine_with_a_gpu_is_shown_as_a_table(splitwiser: Splitwiser) -> None:
    path = f"{fake_gpu.FOLDER}{os.pathsep}{os.environ['PATH']}"
    ended = await splitwiser("doctor", "--gpu", PATH=path, FAKE_SMI=fake_gpu.H200, CUDA_VISIBLE_DEVICES="0")
    assert ended.code == 0, ended.output
    assert "NVIDIA H200, number 0, 139.7 of 140.4 GiB free" in ended.output
    assert "splitwiser up --gpu" in ended.output


async def test_settings_and_machine_are_examined_without_a_gpu(splitwiser: Splitwiser) -> None:
    ended = await splitwiser("doctor", "--set", "engine.kind=sim", "--set", "router.listen=127.0.0.1:0")
    assert (ended.code, ended.output.split()) == (0, ["ok", "settings", "and", "machine", "fine"])


@pytest.mark.parametrize("command", [("doctor",), ("up", "--check")])
async def test_a_model_that_would_be_made_is_not_missed(splitwiser: Splitwiser, command: tuple[str, ...]) -> None:
    """Without --model a small random one is made."""
    ended = await splitwiser(*command, "--set", "router.listen=127.0.0.1:0")
    assert ended.code == 0, ended.output + ended.errors
    missing = await splitwiser(*command, "--set", "router.listen=127.0.0.1:0", "--model", "./nowhere")
    assert missing.code == 1
    assert "nowhere" in missing.output + missing.errors


async def test_up_on_a_gpu_that_is_not_there_ends_before_anything_starts(
    splitwiser: Splitwiser, tmp_path: Path
) -> None:
    model = fake_model(tmp_path)
    ended = await splitwiser("up", "--gpu", "--model", model, **NO_PROGRAMS)
    assert ended.code == 1
    assert "error: there is no nvidia-smi, so no NVIDIA driver\nhelp: install the NVIDIA driver" in ended.errors


def fake_model(folder: Path) -> str:
    (folder / "model").mkdir()
    return str(folder / "model")
