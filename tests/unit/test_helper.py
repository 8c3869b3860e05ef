"""A helper does not outlive its block, however that ends."""

import asyncio
import signal
import sys

import pytest

from splitwiser.helper import helper

FOREVER = (sys.executable, "-c", "import signal; signal.pause()")


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
    started = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        async with helper(*FOREVER) as process:
            started.set_result(process)
            await process.wait()

    waiting = asyncio.create_task(wait())
    process = await started
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert process.returncode == -signal.SIGKILL
