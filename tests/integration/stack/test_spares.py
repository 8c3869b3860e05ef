"""A spare takes over when its worker dies; without one, or with a dead one, the worker still comes back."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from splitwiser.errors import StartupError
from splitwiser.stack.child import State
from splitwiser.stack.local import LocalStack
from tests.integration.stack.conftest import FAKES, make_settings
from tests.support.processes import lives
from tests.support.waiting import PATIENCE_S, until


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[LocalStack]:
    async with LocalStack(make_settings(tmp_path / "run", stack={"spares": "on"}), package=FAKES) as stack:
        await until(lambda: len(spares(stack)) == 2)
        yield stack


def spares(stack: LocalStack) -> dict[int, str]:
    """Process ids of the spares, and which worker each is one of."""
    serving = {status.pid for status in stack.services.values()}
    found = {}
    for process in psutil.Process().children():
        # One that has just been killed may be gone before it has said what it is.
        with suppress(psutil.NoSuchProcess):
            command = process.cmdline() if lives(process) and process.pid not in serving else []
            if "--spare" in command:
                found[process.pid] = command[command.index("--instance") + 1]
    return found


async def spare_of(stack: LocalStack, instance: str) -> int:
    """Its process id, as soon as there is one whose command line can be read: not in the middle of an exec."""
    found: list[int] = []

    def look() -> bool:
        found.extend(pid for pid, of in spares(stack).items() if of == instance)
        return bool(found)

    await until(look)
    return found[0]


async def dies(stack: LocalStack, instance: str) -> int:
    """Kill it; returns the process that serves in its place."""
    dead = stack.services[instance].pid
    os.kill(dead, signal.SIGKILL)

    def serves_again() -> bool:
        status = stack.services[instance]
        return status.pid not in (0, dead) and status.state is State.READY

    await until(serves_again)
    return stack.services[instance].pid


async def test_each_worker_has_a_spare_and_nobody_else_does(stack: LocalStack) -> None:
    await asyncio.sleep(0.2)
    assert sorted(spares(stack).values()) == ["decode-0", "prefill-0"]


async def test_the_spare_takes_over_and_has_a_successor(stack: LocalStack) -> None:
    for _ in range(2):
        spare = await spare_of(stack, "decode-0")
        assert await dies(stack, "decode-0") == spare
        assert await spare_of(stack, "decode-0") != spare


async def test_without_its_spare_the_worker_comes_back_and_has_one_again(stack: LocalStack) -> None:
    spare = await spare_of(stack, "decode-0")
    os.kill(spare, signal.SIGKILL)
    await until(lambda: spare not in spares(stack))
    assert await dies(stack, "decode-0") != spare
    assert await spare_of(stack, "decode-0") != spare


async def test_a_spare_that_dies_as_it_takes_over_is_no_loss(stack: LocalStack) -> None:
    dead, stopped = stack.services["decode-0"].pid, await spare_of(stack, "decode-0")
    os.kill(stopped, signal.SIGSTOP)
    os.kill(dead, signal.SIGKILL)
    await until(lambda: stack.services["decode-0"].pid == stopped)
    os.kill(stopped, signal.SIGKILL)
    await until(lambda: stack.services["decode-0"].pid not in (0, dead, stopped))
    await until(lambda: stack.services["decode-0"].state is State.READY)


def slow_spare(run_dir: Path, **stack: object) -> LocalStack:
    """The spare of decode is prepared once the folder has a file `prepared`."""
    engine = {"kind": "sim", "model": "decode-0:slow-spare"}
    return LocalStack(make_settings(run_dir, engine=engine, stack={"spares": "on", **stack}), package=FAKES)


async def test_a_stack_is_prepared_once_every_spare_is(tmp_path: Path) -> None:
    async with slow_spare(tmp_path / "run") as stack:
        prepared = asyncio.create_task(stack.prepared())
        await until(lambda: stack.unprepared == ["decode-0"])
        await asyncio.sleep(0.2)
        assert not prepared.done()
        (tmp_path / "run" / "prepared").touch()
        await asyncio.wait_for(prepared, PATIENCE_S)
        assert not stack.unprepared


async def test_a_spare_that_is_never_prepared_is_named_in_time(tmp_path: Path) -> None:
    async with slow_spare(tmp_path / "run", start_timeout_s=6) as stack:
        with pytest.raises(StartupError, match=r"^decode-0: not ready, or without a spare that is, after 6 s"):
            await stack.prepared()


async def test_without_a_live_spare_a_worker_is_unprepared(stack: LocalStack) -> None:
    await asyncio.wait_for(stack.prepared(), PATIENCE_S)
    os.kill(await spare_of(stack, "decode-0"), signal.SIGKILL)
    await until(lambda: stack.unprepared == ["decode-0"])


async def test_a_dead_worker_is_prepared_again_with_the_next_spare(stack: LocalStack) -> None:
    spare = await spare_of(stack, "decode-0")
    assert await dies(stack, "decode-0") == spare
    await asyncio.wait_for(stack.prepared(), PATIENCE_S)
    assert await spare_of(stack, "decode-0") != spare


async def test_a_stack_without_spares_is_prepared_as_soon_as_it_is_ready(tmp_path: Path) -> None:
    async with LocalStack(make_settings(tmp_path / "run", stack={"spares": "off"}), package=FAKES) as stack:
        assert not stack.unprepared


async def test_the_stack_stops_while_a_spare_takes_over(tmp_path: Path) -> None:
    async with LocalStack(make_settings(tmp_path / "run", stack={"spares": "on"}), package=FAKES) as stack:
        await until(lambda: len(spares(stack)) == 2)
        os.kill(stack.services["decode-0"].pid, signal.SIGKILL)
        await asyncio.sleep(0)


async def test_a_spare_ends_by_itself_when_its_stack_is_gone(tmp_path: Path) -> None:
    # Its leash apart, the end of its standard input ends it.
    settings = make_settings(tmp_path / "run")
    settings.run_dir.mkdir(parents=True)
    path = settings.run_dir / "resolved.json"
    path.write_text(settings.model_dump_json())
    spare = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.decode", "--config", str(path), "--spare"), stdin=asyncio.subprocess.PIPE
    )
    assert spare.stdin
    await asyncio.sleep(0.1)
    spare.stdin.close()
    assert await asyncio.wait_for(spare.wait(), PATIENCE_S) == 0
