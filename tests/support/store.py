"""Owns a store for tests: in this process, on a real socket, its reports counted, its clock in the test's hand."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from splitwiser.kv.handle import KvHandle, KvPromise
from splitwiser.kv.layout import LayerShape, PoolLayout
from splitwiser.memory import memfd
from splitwiser.store.client import RoleName, StoreClient
from splitwiser.store.server import StoreServer
from tests.support.sockets import socket_folder

LAYOUT = PoolLayout("model", "float32", page_tokens=4, pages=64, layers=(LayerShape(2, 4, 4),))
NAME = "test-store"


class Tally:
    """A StoreObserver that counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def granted(self) -> None:
        self.counts["granted"] += 1

    def claimed(self) -> None:
        self.counts["claimed"] += 1

    def refused(self, reason: str) -> None:
        self.counts[reason] += 1

    def connected(self, role: str) -> None:
        self.counts[role] += 1

    def disconnected(self, role: str) -> None:
        self.counts[role] -= 1

    def lease_expired(self) -> None:
        self.counts["lease_expired"] += 1

    def malformed_frame(self) -> None:
        self.counts["malformed_frame"] += 1

    def segment(self, name: str, size_bytes: int) -> None:
        self.counts[name] += size_bytes


async def grant(prefill: StoreClient, handle_id: str, pages: Sequence[int], tokens: int = 1) -> KvHandle:
    """Promise and keep."""
    return await prefill.grant(await promise(prefill, handle_id, len(pages), tokens), pages, next_token=0)


async def promise(prefill: StoreClient, handle_id: str, pages: int, tokens: int = 1) -> KvPromise:
    """A promise of so many pages."""
    return KvPromise(handle_id, await prefill.promise(handle_id), pages, 0, tokens, LAYOUT.hash)


def promise_of(handle: KvHandle) -> KvPromise:
    """The promise that this handle kept."""
    return KvPromise(
        handle.handle_id, handle.epoch, len(handle.pages), len(handle.shared), handle.tokens, handle.layout_hash
    )


@dataclass
class Clock:
    """A clock that moves when told to."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Store:
    """A running store and how to reach it."""

    server: StoreServer
    path: Path
    tally: Tally
    clock: Clock
    exits: AsyncExitStack
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def attach(self, role: RoleName, *, beat_s: float = 1000.0) -> StoreClient:
        """A client of this role, with the pool published; closed before the store is."""
        client = await StoreClient.connect(self.path, role, f"{role}-{next(self.numbers)}", beat_s=beat_s)
        self.exits.push_async_callback(client.close)
        if role != "observer":
            segment = await client.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)
            segment.close()
        return client


@asynccontextmanager
async def running_store(path: Path, *, lease_s: float = 20.0) -> AsyncIterator[Store]:
    """A store at path until the block ends."""
    tally, clock = Tally(), Clock()
    async with (
        StoreServer(path, name=NAME, lease_s=lease_s, observer=tally, clock=clock) as server,
        AsyncExitStack() as exits,
    ):
        yield Store(server, path, tally, clock, exits)


@asynccontextmanager
async def fresh_store() -> AsyncIterator[Store]:
    """A store in a folder of its own."""
    with socket_folder() as folder:
        async with running_store(folder / "store.sock") as store:
            yield store
