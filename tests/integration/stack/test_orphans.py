"""However the stack's owner ends, none of its processes outlives it, and its folder can be used again."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from splitwiser.stack.local import LocalStack
from tests.integration.stack.conftest import FAKES, make_settings
from tests.support.processes import lives
from tests.support.waiting import PATIENCE_S, until

STOP_TIMEOUT_S = 80
OWNER = f"""
import asyncio, sys
from pathlib import Path
from splitwiser.stack.local import LocalStack
from tests.integration.stack.conftest import make_settings

async def main():
    stubborn = {{"engine": {{"kind": "sim", "model": "router:stay"}}, "stack": {{"stop_timeout_s": {STOP_TIMEOUT_S}}}}}
    settings = make_settings(Path(sys.argv[1]), **(stubborn if sys.argv[2:] else {{}}))
    async with LocalStack(settings, package={FAKES!r}):
        print("ready", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print("stopping", flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def owner_of_a_stack(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process inside of whose LocalStack everything is ready."""
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert owner.stdout is not None
    assert await asyncio.wait_for(owner.stdout.readline(), PATIENCE_S) == b"ready\n"
    yield owner
    await asyncio.wait_for(owner.wait(), STOP_TIMEOUT_S / 2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_no_process_outlives_the_owner(number: signal.Signals, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    async with owner_of_a_stack(str(run_dir)) as owner:
        children = psutil.Process(owner.pid).children(recursive=True)
        assert len(children) == 5
        owner.send_signal(number)
    await until(lambda: not any(map(lives, children)))
    async with LocalStack(make_settings(run_dir), package=FAKES):
        pass


async def test_a_second_ctrl_c_waits_for_no_drain(tmp_path: Path) -> None:
    async with owner_of_a_stack(str(tmp_path / "run"), "stubborn") as owner:
        children = psutil.Process(owner.pid).children(recursive=True)
        owner.send_signal(signal.SIGINT)
        assert owner.stdout
        assert await asyncio.wait_for(owner.stdout.readline(), PATIENCE_S) == b"stopping\n"
        await asyncio.sleep(0.5)
        assert owner.returncode is None
        owner.send_signal(signal.SIGINT)
    await until(lambda: not any(map(lives, children)))


async def test_a_child_whose_starter_is_already_gone_does_not_run(tmp_path: Path) -> None:
    leash = Path("splitwiser/stack/leash.py")
    mark = tmp_path / "mark"
    child = await asyncio.create_subprocess_exec(sys.executable, str(leash), "1", "touch", str(mark))
    assert await child.wait() == 1
    assert not mark.exists()
