"""A helper does not outlive its block, however that ends."""

import asyncio
import signal
import sys

import pytest

from splitwiser.helper import helper

FOREVER = (sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()")


async def test_one_that_has_ended_keeps_its_exit_code() -> None:
    async with helper(sys.executable, "-c", "raise SystemExit(3)") as process:
        await process.wait()
    assert process.returncode == 3


async def test_one_that_goes_on_is_killed_and_waited_for_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        async with helper(*FOREVER) as process:
            raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL


async def test_one_that_goes_on_is_killed_and_waited_for_when_the_block_is_cancelled() -> None:
    processes: list[asyncio.subprocess.Process] = []

    async def listen() -> None:
        async with helper(*FOREVER, stdout=asyncio.subprocess.PIPE) as process:
            processes.append(process)
            await process.communicate()

    listening = asyncio.create_task(listen())
    while not processes:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert processes[0].returncode == -signal.SIGKILL
