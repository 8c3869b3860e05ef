"""A worker tells the store of a copy when it is whole, and leaves when nothing is copied any more, not before."""

import asyncio
import threading
from contextlib import suppress

import pytest

from splitwiser.kv.host_index import Copies
from splitwiser.kv.host_tier import HostTier

COPIES = Copies((3, 4), (0, 1))


class Store:
    """Has one save, and none after it."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._saves = [COPIES]

    async def save(self, count: int) -> Copies:
        if not self._saves:
            await asyncio.Event().wait()
        return self._saves.pop()

    async def saved(self) -> None:
        self.told.set()


class Copier:
    """Copies for as long as it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.done: list[Copies] = []
        self._error = error

    def save(self, copies: Copies) -> None:
        self.begun.set()
        assert self.go_on.wait(10)
        if self._error:
            raise self._error
        self.done.append(copies)

    load = save


async def begun(copier: Copier) -> None:
    assert await asyncio.to_thread(copier.begun.wait, 10)


async def test_a_save_is_told_of_when_it_is_copied() -> None:
    store, copier, counted = Store(), Copier(), list[int]()
    tier = HostTier(store, copier)
    running = asyncio.create_task(tier.run(counted.append))
    await begun(copier)
    await asyncio.sleep(0.02)
    assert not store.told.is_set()
    copier.go_on.set()
    await asyncio.wait_for(store.told.wait(), 10)
    assert (copier.done, counted) == ([COPIES], [2])
    running.cancel()
    tier.close()


async def test_a_save_that_fails_is_not_told_of_and_ends_the_worker() -> None:
    store, copier = Store(), Copier(RuntimeError("the bus is gone"))
    tier = HostTier(store, copier)
    copier.go_on.set()
    with pytest.raises(RuntimeError, match="the bus"):
        await tier.run(lambda pages: None)
    assert not store.told.is_set()
    tier.close()


@pytest.mark.parametrize("way", ["save", "load"])
async def test_who_leaves_waits_for_the_copy_under_way(way: str) -> None:
    copier = Copier()
    tier = HostTier(Store(), copier)
    working = asyncio.create_task(tier.run(lambda pages: None) if way == "save" else tier.load(COPIES))
    await begun(copier)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    closing = asyncio.create_task(asyncio.to_thread(tier.close))
    done, _ = await asyncio.wait({closing}, timeout=0.05)
    assert not done
    copier.go_on.set()
    await asyncio.wait_for(closing, 10)
    assert copier.done == [COPIES]
