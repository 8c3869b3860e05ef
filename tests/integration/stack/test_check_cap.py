"""The numeric gate as a process of its own, as a pod runs it before its worker."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.models import write_model


def check(folder: Path, phase: str, **caps: int) -> "subprocess.CompletedProcess[str]":
    """Run it with these settings of gpu."""
    model = write_model(folder / "model", {"layer.weight": (64, 32)})
    engine = {"kind": "vllm", "device": "cuda", "model": str(model), "dtype": "bfloat16"}
    config = folder / "settings.json"
    config.write_text(json.dumps({"run_dir": str(folder), "engine": engine, "gpu": caps}))
    command = (sys.executable, "-m", "splitwiser.stack.check_cap", "--config", str(config), phase)
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("caps", [{}, {"prefill_sm_percent": 50}], ids=["no cap", "the other phase's"])
def test_without_a_cap_of_its_own_a_phase_may_start(tmp_path: Path, caps: dict[str, int]) -> None:
    done = check(tmp_path, "decode", **caps)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a GPU to check it on")
@pytest.mark.parametrize("part", [{"decode_sm_percent": 50}, {"decode_sms": 48}], ids=["cap", "partition"])
def test_a_cap_or_partition_that_cannot_be_checked_is_refused(tmp_path: Path, part: dict[str, int]) -> None:
    done = check(tmp_path, "decode", **part)
    assert done.returncode == 1
    assert "error: the numeric gate failed to run" in done.stderr
    assert "help: " in done.stderr


def test_wrong_settings_are_told(tmp_path: Path) -> None:
    done = check(tmp_path, "prefill", prefill_sm_percent=0)
    assert done.returncode == 1
    assert "gpu.prefill_sm_percent" in done.stderr
