"""A child process is gone, not only killed, once whoever waited for it goes on."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from splitwiser.stack.process import Process
from tests.support.waiting import until


async def test_one_that_finishes_gives_its_exit_code(tmp_path: Path) -> None:
    process = await Process.start([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log")
    assert await process.finish() == 3


async def test_cancelling_the_wait_for_its_finish_leaves_no_process(tmp_path: Path) -> None:
    process = await Process.start(["sh", "-c", "echo it runs; exec sleep 600"], tmp_path / "log")
    waiting = asyncio.create_task(process.finish())
    await until(lambda: "it runs" in process.log_tail())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert process.exit_code == -9
    assert not psutil.pid_exists(process.pid)
