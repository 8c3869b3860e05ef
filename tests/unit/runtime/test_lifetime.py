"""A service ends with what it works with, also while it drains."""

import asyncio
from pathlib import Path

import pytest

from splitwiser.errors import SplitwiserError, StoreLost
from splitwiser.rpc.client import Client
from splitwiser.rpc.listen import ListenOptions
from splitwiser.rpc.server import serve
from splitwiser.runtime.lifetime import serve_until
from tests.support.waiting import until
from tests.unit.rpc.test_server import Echo, service

LONG_S = 60.0
DRAINS = ListenOptions(grace_s=LONG_S)
TAKES_MORE = ListenOptions(lame_duck_s=LONG_S, grace_s=LONG_S)


async def fail_at(lost: asyncio.Event) -> None:
    await lost.wait()
    raise StoreLost("gone", help="")


@pytest.mark.parametrize(("options", "drains"), [(DRAINS, False), (DRAINS, True), (TAKES_MORE, True)])
async def test_what_breaks_ends_a_service_and_its_calls_at_once(
    options: ListenOptions, drains: bool, tmp_path: Path
) -> None:
    address, echo, stop, lost = f"unix:{tmp_path}/echo.sock", Echo(), asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(LONG_S / 2), Client(address) as client:
        async with serve(address, [service(echo)], options=options) as server:
            serving = asyncio.create_task(serve_until(stop, server, fail_at(lost)))
            call = asyncio.create_task(client.tokenize("abc", timeout_s=LONG_S))
            await until(lambda: echo.waiting == 1)
            if drains:
                stop.set()
                await asyncio.sleep(0.1)
                assert not call.done()
            lost.set()
            with pytest.raises(StoreLost):
                await serving
        with pytest.raises(SplitwiserError):
            await call


async def test_a_drain_waits_for_its_calls_and_ends_the_work(tmp_path: Path) -> None:
    address, echo, stop = f"unix:{tmp_path}/echo.sock", Echo(), asyncio.Event()
    async with (
        asyncio.timeout(LONG_S / 2),
        Client(address) as client,
        serve(address, [service(echo)], options=DRAINS) as server,
    ):
        serving = asyncio.create_task(serve_until(stop, server, fail_at(asyncio.Event())))
        call = asyncio.create_task(client.tokenize("abc", timeout_s=LONG_S))
        await until(lambda: echo.waiting == 1)
        stop.set()
        await asyncio.sleep(0.1)
        assert not serving.done()
        echo.release.set()
        assert await call == [3]
        await serving
