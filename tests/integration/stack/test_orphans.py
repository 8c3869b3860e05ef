"""However the stack's owner ends, none of its processes outlives it, and its folder can be used again."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from splitwiser.stack.local import LocalStack
from tests.integration.stack.conftest import FAKES, make_settings, until

OWNER = f"""
import asyncio, sys
from pathlib import Path
from splitwiser.stack.local import LocalStack
from tests.integration.stack.conftest import make_settings

async def main():
    async with LocalStack(make_settings(Path(sys.argv[1])), package={FAKES!r}):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_no_process_outlives_the_owner(number: signal.Signals, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(run_dir)), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert owner.stdout is not None
    assert await asyncio.wait_for(owner.stdout.readline(), 30) == b"ready\n"
    children = psutil.Process(owner.pid).children(recursive=True)
    assert len(children) == 5
    os.kill(owner.pid, number)
    await asyncio.wait_for(owner.wait(), 15)
    await until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children), 3)
    async with LocalStack(make_settings(run_dir), package=FAKES):
        pass


async def test_a_child_whose_starter_is_already_gone_does_not_run(tmp_path: Path) -> None:
    leash = Path("splitwiser/stack/leash.py")
    mark = tmp_path / "mark"
    child = await asyncio.create_subprocess_exec(sys.executable, str(leash), "1", "touch", str(mark))
    assert await child.wait() == 1
    assert not mark.exists()
