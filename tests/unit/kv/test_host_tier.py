"""Pages between pool and host: what was evicted comes back as it was, and nothing is lost on the way."""

import asyncio
import random

import pytest

from splitwiser.kv.prefix_lookup import Lookups, PinLimits
from tests.unit.kv.sharing_stand import PAGES, Stand, serve, settle
from tests.unit.kv.slow_calls import PREFILL


async def fill(stand: Stand, count: int) -> None:
    """As many requests whose pages replace all others in the pool."""
    for start in range(1000, 1000 + 20 * count, 20):
        await serve(stand, f"r{start}", tuple(range(start, start + 9)), (1, 2))


async def evicted_to_the_host() -> tuple[Stand, tuple[int, ...]]:
    """A prompt of two full pages and a token, of which the host alone has the pages."""
    stand, prompt = Stand(host_pages=8), (1, 2, 3, 4, 5, 6, 7, 8, 9)
    await serve(stand, "a", prompt, (10, 11))
    await settle()
    await stand.save()
    await fill(stand, 20)
    return stand, prompt


async def test_what_was_evicted_comes_back_from_the_host() -> None:
    stand, prompt = await evicted_to_the_host()
    await settle()
    assert stand.loads == 0
    async with stand.lookups.found("b", prompt, need=3) as found:
        assert (len(found.pages), found.loaded) == (2, 2)
        assert stand.read(found.pages, 8) == [1, 2, 3, 4, 5, 6, 7, 8]
    # The pool has it again: nothing is loaded twice.
    assert await serve(stand, "c", prompt, (10, 11)) == 2
    assert stand.loads == 1
    await settle()
    stand.check_idle()


async def test_the_pool_has_the_beginning_and_the_host_the_rest() -> None:
    stand, prompt = Stand(host_pages=8), tuple(range(1, 14))
    await serve(stand, "a", prompt, (14, 15))
    await settle()
    await stand.save()
    # The end of a chain is evicted first.
    idle = stand.ledger.counts().free + stand.ledger.counts().cached
    stand.ledger.release(PREFILL, stand.ledger.acquire(PREFILL, idle - 2))
    async with stand.lookups.found("b", prompt, need=4) as found:
        assert (len(found.pages), found.loaded) == (3, 1)
        assert stand.read(found.pages, 12) == list(prompt[:12])


async def test_a_copy_that_is_not_whole_is_not_found() -> None:
    stand, prompt = Stand(host_pages=8), (1, 2, 3, 4, 5, 6, 7, 8, 9)
    await serve(stand, "a", prompt, (10, 11))
    await settle()
    stand.ledger.save(PREFILL, 1)
    await fill(stand, 20)
    await settle()
    # The page that is held is still in the pool, but nothing leads to it; its copy was never said to be whole.
    async with stand.lookups.found("b", prompt, need=3) as found:
        assert found.pages == ()


async def test_a_load_that_fails_leaves_nothing_pinned() -> None:
    stand, prompt = await evicted_to_the_host()
    stand.host.clear()
    with pytest.raises(KeyError):
        async with stand.lookups.found("b", prompt, need=3):
            raise AssertionError("found what could not be loaded")
    await settle()
    stand.check_idle()


async def test_who_cannot_load_computes() -> None:
    stand, prompt = await evicted_to_the_host()
    stand.lookups = Lookups(stand, stand.hasher, PinLimits(due=PAGES // 2, pinned=PAGES // 2 - 4))
    assert await serve(stand, "b", prompt, (10, 11)) == 0
    await settle()
    stand.check_idle()


async def test_no_cancellation_loses_a_page_between_pool_and_host() -> None:
    loads = 0
    for seed in range(15):
        stand, chance, tasks = Stand(seed, host_pages=64), random.Random(seed), []
        for index in range(40):
            # More beginnings than the pool holds.
            prompt, answer = (chance.randrange(20),) * chance.choice([9, 13, 17]), (1,) * chance.randrange(2, 9)
            tasks.append(asyncio.create_task(serve(stand, f"r{index}", prompt, answer)))
            for _ in range(chance.randrange(60)):
                await asyncio.sleep(0)
            await stand.save()
            if chance.random() < 0.2:
                chance.choice(tasks).cancel()
        await asyncio.wait(tasks, timeout=10)
        await settle()
        stand.check_idle()
        loads += stand.loads
        for task in tasks:
            assert task.cancelled() or task.result() >= 0
    assert loads > 100
