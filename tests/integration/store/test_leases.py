"""A lease runs on the store's monotonic clock and covers hangs only: whoever beats keeps its pages."""

import asyncio

from tests.support.store import Store, grant


async def test_a_silent_worker_loses_its_pages_when_its_lease_is_over(store: Store) -> None:
    worker, watcher = await store.attach("prefill"), await store.attach("observer")
    await grant(worker, "request", await worker.acquire(5))
    store.clock.now_s += 20.0
    await watcher.counts()
    store.server.sweep()
    assert store.server.counts().granted == 5
    store.clock.now_s += 0.1
    await watcher.counts()
    store.server.sweep()
    assert store.server.counts().free == 64
    assert store.tally.counts["lease_expired"] == 1
    await worker.lost.wait()
    assert not watcher.lost.is_set()


async def test_beats_keep_the_lease(store: Store) -> None:
    beating, silent = await store.attach("decode", beat_s=0.01), await store.attach("decode")
    await beating.acquire(5)
    await silent.acquire(3)
    store.clock.now_s += 19.0
    # By then it was heard, at the new time: the next sweep ends the other's lease alone.
    await asyncio.sleep(0.5)
    store.clock.now_s += 2.0
    store.server.sweep()
    assert store.server.counts().decode == 5
    assert store.tally.counts["lease_expired"] == 1


async def test_a_beat_that_has_arrived_counts_though_it_was_not_read_yet(store: Store) -> None:
    worker = await store.attach("decode")
    await worker.acquire(5)
    store.clock.now_s += 100.0
    call = asyncio.ensure_future(worker.counts())
    await asyncio.sleep(0)
    store.server.sweep()
    assert (await call).decode == 5
