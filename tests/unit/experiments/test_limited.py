"""A process that does not end in time is ended, gone before anything else happens, and told by its name."""

import sys
from pathlib import Path

import psutil
import pytest

from splitwiser.errors import StartupError
from splitwiser.experiments.limited import run_to_end


async def test_one_that_ends_is_returned_with_its_code_and_words(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('so it goes'); raise SystemExit(3)")
    process = await run_to_end(command, tmp_path / "log", what="it", timeout_s=60, help="none")
    assert process.exit_code == 3
    assert "so it goes" in process.log_tail()


async def test_one_that_does_not_end_is_killed_and_told(tmp_path: Path) -> None:
    """The shell says which process it is, and becomes one that sleeps."""
    command = ("sh", "-c", "echo $$; exec sleep 600")
    with pytest.raises(StartupError, match=r"the load did not end in 5 s") as raised:
        await run_to_end(command, tmp_path / "log", what="the load", timeout_s=5, help="is the GPU free?")
    assert "is the GPU free?" in str(raised.value)
    assert not psutil.pid_exists(int((tmp_path / "log").read_text()))
