"""Both sides of the prefix index over a real ledger: right pages found, none lost, whoever is cancelled when."""

import asyncio
import random

import pytest

from splitwiser.errors import PromptTooLong
from tests.unit.kv.sharing_stand import PAGES, Stand, serve, settle


async def test_the_next_turn_finds_prompt_and_answer() -> None:
    stand = Stand()
    assert await serve(stand, "a", (1, 2, 3, 4, 5), (6, 7, 8, 9)) == 0
    await settle()
    stand.check_idle()
    # Eight tokens have their KV: the answer's last one was never fed back.
    assert await serve(stand, "b", (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (11, 12)) == 2
    await settle()
    stand.check_idle()


async def test_a_salt_shares_with_its_own_kind_only() -> None:
    stand = Stand()
    await serve(stand, "a", (1, 2, 3, 4, 5), (6, 7))
    await settle()
    async with stand.lookups.found("b", (1, 2, 3, 4, 5), need=2, salt="other") as found:
        assert found.pages == ()
    async with stand.lookups.found("c", (1, 2, 3, 4, 5), need=2) as found:
        assert len(found.pages) == 1
    await settle()
    stand.check_idle()


async def test_decode_gets_its_pages_back_when_it_needs_them_all() -> None:
    stand = Stand()
    for start in range(0, 400, 20):
        await serve(stand, f"r{start}", tuple(range(start, start + 9)), (1, 2))
    await settle()
    assert stand.ledger.counts().cached >= PAGES // 4
    own = await stand.decode_pages.reserve(PAGES // 2)
    stand.decode_pages.free(own)
    with pytest.raises(PromptTooLong):
        await stand.decode_pages.reserve(PAGES // 2 + 1)
    await settle()
    stand.check_idle()


async def test_no_cancellation_at_any_point_loses_a_page_or_a_pin() -> None:
    found = 0
    for seed in range(150):
        stand, chance = Stand(seed), random.Random(seed)
        tasks = []
        for index in range(12):
            prompt = tuple(chance.choices([1, 2], k=2)) * chance.randrange(1, 9)
            answer = tuple(chance.choices([1, 2], k=chance.randrange(2, 9)))
            tasks.append(asyncio.create_task(serve(stand, f"r{index}", prompt, answer)))
            for _ in range(chance.randrange(25)):
                await asyncio.sleep(0)
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
        await asyncio.wait(tasks, timeout=10)
        await settle()
        stand.check_idle()
        for task in tasks:
            found += 0 if task.cancelled() else task.result()
    assert found > 100
