"""Real workers that die or hang: their pages come back, at once or after the lease, and never while they may write."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from splitwiser.errors import StaleHandle
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.store.client import StoreClient
from splitwiser.store.server import StoreServer
from tests.support.processes import Child, child, lives
from tests.support.store import LAYOUT, Tally, promise_of
from tests.support.waiting import until

LONG_LEASE_S = 120.0
SHORT_LEASE_S = 3.0


@asynccontextmanager
async def worker(path: Path, role: str, acquire: int, grant: int = 0) -> AsyncIterator[Child]:
    async with child("tests.support.store_worker", str(path), role, str(acquire), str(grant)) as process:
        yield process


@pytest.fixture
async def tally() -> Tally:
    return Tally()


@pytest.fixture
async def server(folder: Path, tally: Tally) -> AsyncIterator[StoreServer]:
    """No lease of it ends while a test runs."""
    async with StoreServer(folder / "store.sock", name="store", lease_s=LONG_LEASE_S, observer=tally) as server:
        yield server


@pytest.fixture
async def strict_server(folder: Path, tally: Tally) -> AsyncIterator[StoreServer]:
    async with StoreServer(folder / "store.sock", name="store", lease_s=SHORT_LEASE_S, observer=tally) as server:
        yield server


async def test_a_killed_workers_pages_and_grants_come_back_at_once(folder: Path, server: StoreServer) -> None:
    path = folder / "store.sock"
    async with worker(path, "prefill", 8, grant=3) as victim, worker(path, "decode", 16) as survivor:
        said = await victim.line()
        await survivor.line()
        assert (server.counts().prefill, server.counts().granted, server.counts().decode) == (5, 3, 16)
        victim.process.kill()
        await until(lambda: server.counts().free == 48)
        decode = await StoreClient.connect(path, "decode", "late", beat_s=0.1)
        handle = KvHandle(**{**said["handle"], "epoch": Epoch(**said["handle"]["epoch"])})
        with pytest.raises(StaleHandle):
            await decode.claim(promise_of(handle), await decode.acquire(3))
        await decode.close()


async def test_a_hung_worker_is_dead_before_its_pages_come_back(
    folder: Path, strict_server: StoreServer, tally: Tally
) -> None:
    async with worker(folder / "store.sock", "decode", 8) as victim:
        hung = psutil.Process((await victim.line())["pid"])
        hung.suspend()

        def freed() -> bool:
            if strict_server.counts().free == 64:
                assert not lives(hung)
                return True
            return False

        assert await until(freed) > SHORT_LEASE_S / 4
        assert tally.counts["lease_expired"] == 1
        assert tally.counts["decode"] == 0
        assert await victim.process.wait() == -signal.SIGKILL


BABBLER = """
import asyncio, pathlib, sys
from splitwiser.store.client import StoreClient
from tests.support.store import LAYOUT
from splitwiser.memory import memfd

async def main():
    client = await StoreClient.connect(pathlib.Path(sys.argv[1]), "decode", "babbler", beat_s=1)
    await client.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)
    await client.acquire(8)
    client._calls._link.send(b"no request")
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_worker_that_breaks_the_protocol_is_dead_before_its_pages_come_back(
    folder: Path, server: StoreServer, tally: Tally
) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BABBLER, str(folder / "store.sock"))
    assert await process.wait() == -signal.SIGKILL
    await until(lambda: server.counts().free == 64)
    assert tally.counts["malformed_frame"] == 1


async def test_a_worker_that_beats_outlives_its_lease(folder: Path, strict_server: StoreServer) -> None:
    async with worker(folder / "store.sock", "decode", 8) as survivor:
        await survivor.line()
        await asyncio.sleep(1.5 * SHORT_LEASE_S)
        assert strict_server.counts().decode == 8


async def test_memory_outlives_its_maker_and_is_not_made_again(folder: Path, server: StoreServer) -> None:
    path = folder / "store.sock"
    async with worker(path, "prefill", 8) as maker:
        first = await maker.line()
        maker.process.kill()
        await maker.process.wait()
        async with worker(path, "prefill", 0) as heir:
            assert (await heir.line())["maker"] == str(first["pid"])
        watcher = await StoreClient.connect(path, "observer", "watcher", beat_s=0.1)
        pool = await watcher.obtain("pool", lambda: pytest.fail("made"), layout=LAYOUT)
        assert [pool.buffer[page] for page in first["pages"]] == [page + 1 for page in first["pages"]]
        await watcher.close()


async def test_a_worker_learns_at_once_that_its_store_is_gone(folder: Path, server: StoreServer) -> None:
    async with worker(folder / "store.sock", "decode", 8) as orphan:
        await orphan.line()
        await server.stop()
        assert await orphan.line() == {"lost": True}


async def test_crashes_in_a_row_lose_no_page(folder: Path, server: StoreServer) -> None:
    path = folder / "store.sock"
    for _ in range(5):
        async with worker(path, "prefill", 40, grant=20) as one, worker(path, "decode", 24) as other:
            await asyncio.gather(one.line(), other.line())
            one.process.kill()
            other.process.kill()
            await until(lambda: server.counts().free == 64)
