"""The verbs of the host tier over the socket: who saves, who loads, and that nothing half-written is ever found."""

import asyncio
from functools import partial

import pytest

from splitwiser.errors import DuplicateRequest, InvalidRequest, LayoutMismatch, UnknownHandle
from splitwiser.kv.host_index import Beginning
from splitwiser.kv.prefix_lookup import PinLimits
from splitwiser.memory import memfd
from splitwiser.memory.memfd import MemfdMapper
from splitwiser.memory.segment import HOST_PAGES, Segment
from splitwiser.store.client import StoreClient
from tests.support.store import LAYOUT, Store, promise, promise_of

HASHES = [bytes([number]) * 16 for number in range(3)]
LIMITS = PinLimits(due=32, pinned=24, need=4)


async def host_of(client: StoreClient, pages: int = 8) -> Segment:
    layout = LAYOUT.on_host(pages)
    make = partial(memfd.make_pool, layout, HOST_PAGES)
    return await client.obtain(HOST_PAGES, make, layout=layout, mapper=MemfdMapper())


async def look_up(client: StoreClient, name: str) -> Beginning:
    return await client.look_up(name, b"root", HASHES, (7,), LIMITS)


async def fill(prefill: StoreClient, decode: StoreClient) -> None:
    """One request, to its end: three pages of the index."""
    await look_up(prefill, "first")
    pages, give = await prefill.acquire(4), await decode.acquire(4)
    handle = await prefill.grant(await promise(prefill, "first", 4, 13), pages, next_token=0)
    await decode.claim(promise_of(handle), give)
    await decode.share_prompt(handle)
    await decode.share_answer(handle, (), ())
    await decode.release(pages[3:])
    await prefill.release(give)


async def evict(client: StoreClient) -> None:
    """Everything that can be evicted is."""
    await client.release(await client.acquire(64))


async def test_pages_are_saved_evicted_and_loaded(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    assert (await host_of(prefill)).size_bytes == 8 * LAYOUT.page_bytes
    saving = asyncio.create_task(prefill.save(8))
    await prefill.counts()
    assert not saving.done()
    await fill(prefill, decode)
    copies = await saving
    assert (len(copies.pages), len(set(copies.host_pages))) == (3, 3)
    await prefill.saved()
    await evict(decode)
    found = await look_up(prefill, "again")
    assert found.pages == ()
    # The end of a chain is saved first, as it is evicted first.
    assert found.loads.host_pages == copies.host_pages[::-1]
    assert (await prefill.counts()).shared == 3
    assert await prefill.loaded("again") == found.loads.pages
    await prefill.forget("again")
    counts = await prefill.counts()
    assert (counts.cached, counts.shared, counts.free) == (3, 0, 61)


async def test_a_save_of_a_worker_that_died_is_never_found_and_is_done_again(store: Store) -> None:
    victim, other = await store.attach("prefill"), await store.attach("prefill")
    decode = await store.attach("decode")
    await host_of(victim)
    await fill(other, decode)
    assert len((await victim.save(8)).pages) == 3
    # They are held: nobody gets them while they are copied from.
    assert len(await decode.acquire(64)) == 61
    await victim.close()
    assert len(await decode.acquire(64)) == 3
    assert await look_up(other, "again") == Beginning()


async def test_a_load_of_a_worker_that_died_frees_its_pages(store: Store) -> None:
    victim, decode = await store.attach("prefill"), await store.attach("decode")
    await host_of(victim)
    await fill(victim, decode)
    await victim.save(8)
    await victim.saved()
    await evict(decode)
    assert len((await look_up(victim, "again")).loads.pages) == 3
    await victim.close()
    assert (await decode.counts()).free == 64
    successor = await store.attach("prefill")
    (await host_of(successor)).close()
    assert len((await look_up(successor, "again")).loads.pages) == 3


async def test_what_is_not_asked_for_in_turn_is_refused(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    await host_of(prefill)
    with pytest.raises(InvalidRequest, match="no save"):
        await prefill.saved()
    with pytest.raises(UnknownHandle, match="no loads"):
        await prefill.loaded("nothing")
    with pytest.raises(InvalidRequest, match="saves no page"):
        await prefill.save(0)
    with pytest.raises(InvalidRequest, match="decode"):
        await decode.save(1)
    await fill(prefill, decode)
    assert len((await prefill.save(8)).pages) == 3
    with pytest.raises(InvalidRequest, match="under way"):
        await prefill.save(8)
    await prefill.saved()
    await evict(decode)
    await look_up(prefill, "again")
    with pytest.raises(InvalidRequest, match="loads under way"):
        await prefill.grant(await promise(prefill, "again", 1), await prefill.acquire(1), next_token=0)


async def test_all_workers_have_the_same_host_pages(store: Store) -> None:
    first, second = await store.attach("prefill"), await store.attach("prefill")
    mine, theirs = await host_of(first), await host_of(second)
    mine.buffer[5] = 77
    assert theirs.buffer[5] == 77
    with pytest.raises(LayoutMismatch):
        await host_of(first, pages=9)


async def test_host_pages_come_after_the_pool(store: Store) -> None:
    early = await StoreClient.connect(store.path, "prefill", "early", beat_s=1000)
    with pytest.raises(InvalidRequest, match="no pool"):
        await host_of(early)
    await early.close()


async def test_a_look_up_that_came_back_while_the_first_one_waits_is_refused_and_holds_up_nobody(store: Store) -> None:
    """Its caller left before it was answered: the store cannot know, and both are in line under one id."""
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    await fill(prefill, decode)

    def ask(name: str, need: int) -> "asyncio.Task[Beginning]":
        limits = PinLimits(due=8, pinned=4, need=need)
        return asyncio.create_task(prefill.look_up(name, b"root", HASHES, (7,), limits))

    assert len((await ask("pins", need=1)).pages) == 3
    first, again, other = ask("request", need=6), ask("request", need=6), ask("other", need=6)
    await prefill.counts()
    assert not any(task.done() for task in (first, again, other))
    await prefill.forget("pins")
    assert len((await first).pages) == len((await other).pages) == 2
    with pytest.raises(DuplicateRequest):
        await again
