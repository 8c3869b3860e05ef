"""One worker makes a segment and all others map it; if the maker fails, the next in line makes it."""

import asyncio
import threading
from dataclasses import replace

import pytest

from splitwiser.errors import InvalidRequest, LayoutMismatch, StartupError, StoreLost
from splitwiser.memory import memfd
from splitwiser.memory.segment import Made
from splitwiser.store.client import StoreClient
from tests.support.sockets import open_fds
from tests.support.store import LAYOUT, Store
from tests.support.waiting import until


def make_weights() -> Made:
    return memfd.make("weights", 4096, manifest=b"manifest", fill=lambda view: view.__setitem__(0, 7))


async def test_a_segment_is_made_once_in_the_whole_stack(store: Store) -> None:
    clients = [await store.attach("decode") for _ in range(8)]
    made = []

    def make() -> Made:
        made.append(1)
        return make_weights()

    segments = await asyncio.gather(*(client.obtain("weights", make) for client in clients))
    late = await (await store.attach("prefill")).obtain("weights", make)
    assert len(made) == 1
    assert {(segment.buffer[0], segment.manifest) for segment in [*segments, late]} == {(7, b"manifest")}
    assert all(segment.buffer.readonly for segment in segments)
    assert store.tally.counts["weights"] == 4096


async def test_a_segment_outlives_its_maker(store: Store) -> None:
    maker, other = await store.attach("prefill"), await store.attach("decode")
    (await maker.obtain("weights", make_weights)).close()
    await maker.close()
    assert (await other.obtain("weights", lambda: pytest.fail("made twice"))).buffer[0] == 7


async def test_when_the_maker_fails_the_next_in_line_makes_it(store: Store) -> None:
    maker, first, second = [await store.attach("decode") for _ in range(3)]
    may_fail = threading.Event()

    def fail() -> Made:
        may_fail.wait(10)
        raise StartupError("no model", help="name one")

    failing = asyncio.create_task(maker.obtain("weights", fail))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(client.obtain("weights", make_weights)) for client in (first, second)]
    await asyncio.sleep(0.01)
    may_fail.set()
    with pytest.raises(StartupError, match="no model"):
        await failing
    assert maker.lost.is_set()
    assert [(await task).buffer[0] for task in waiting] == [7, 7]


async def test_a_cancelled_wait_does_not_make_a_maker_that_never_makes(store: Store) -> None:
    maker, impatient, patient = [await store.attach("decode") for _ in range(3)]
    may_fail = threading.Event()

    def fail() -> Made:
        may_fail.wait(10)
        raise StartupError("no model", help="name one")

    failing = asyncio.create_task(maker.obtain("weights", fail))
    await asyncio.sleep(0.01)
    cancelled = asyncio.create_task(impatient.obtain("weights", make_weights))
    waiting = asyncio.create_task(patient.obtain("weights", make_weights))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    may_fail.set()
    await asyncio.wait([failing])
    assert failing.exception()
    assert (await waiting).buffer[0] == 7


async def test_a_worker_with_another_layout_is_told_so(store: Store) -> None:
    await store.attach("prefill")
    other = replace(LAYOUT, page_tokens=8)
    client = await StoreClient.connect(store.path, "decode", "other", beat_s=1000)
    with pytest.raises(LayoutMismatch, match=other.hash):
        await client.obtain("pool", lambda: memfd.make_pool(other), layout=other)
    await client.close()


async def test_only_the_maker_publishes_and_the_pool_only_once(store: Store) -> None:
    worker = await store.attach("prefill")
    before = len(open_fds())
    with pytest.raises(InvalidRequest, match="a pool already"):
        await worker.obtain("pool-2", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)
    with pytest.raises(StoreLost):
        await worker.counts()
    # The connection's own two ends are gone as well.
    await until(lambda: len(open_fds()) <= before)


async def test_mapping_again_and_again_leaks_no_descriptor(store: Store) -> None:
    worker = await store.attach("decode")
    (await worker.obtain("weights", make_weights)).close()
    before = len(open_fds())
    for _ in range(500):
        (await worker.obtain("weights", make_weights)).close()
    assert len(open_fds()) <= before
