"""The hand-off keeps every page in one place, whenever its callers are cancelled and whatever the store refuses."""

import asyncio
import random

import pytest

from splitwiser.errors import StaleHandle
from splitwiser.kv.claims import Claims
from splitwiser.kv.grants import Grants
from splitwiser.kv.handle import Epoch, KvPromise
from splitwiser.kv.ledger import Ledger
from splitwiser.kv.pool import OwnedPages
from tests.unit.kv.slow_calls import DECODE, PREFILL, SlowCalls

PAGES = 16


class Stand(SlowCalls):
    """Both sides of the hand-off over a real ledger."""

    ledger: Ledger

    def __init__(self, seed: int = 0) -> None:
        super().__init__(Ledger("test", 7, PAGES, "layout"), seed)
        self.prefill_pages = OwnedPages(self.ledger.acquire(PREFILL, PAGES // 2))
        self.decode_pages = OwnedPages(self.ledger.acquire(DECODE, PAGES // 2))
        self.grants = Grants(self, self.prefill_pages, "layout")
        self.claims = Claims(self, self.decode_pages)

    def check(self, *, idle: bool) -> None:
        """Both sides agree with the ledger; once idle, every page is free on its side again."""
        self.ledger.check()
        if idle:
            counts = self.ledger.counts()
            assert (counts.granted, counts.free) == (0, 0)
            assert self.prefill_pages.counts() == {"free": counts.prefill, "in_use": 0}
            assert self.decode_pages.counts() == {"free": counts.decode, "in_use": 0}


def promise_of(stand: Stand, epoch: Epoch, pages: int = 3, handle_id: str = "a") -> KvPromise:
    return KvPromise(handle_id, epoch, pages, 0, 40, "layout")


async def test_pages_change_owner_and_equal_ones_come_back() -> None:
    stand = Stand()
    pages = stand.prefill_pages.allocate(3)
    async with stand.grants.promised("a") as promised:
        handle = await promised.grant(pages, 0, 40, next_token=7)
        own = await stand.decode_pages.reserve(5)
        claimed, mine = await stand.claims.claim(promise_of(stand, handle.epoch), own)
        await promised.claimed.wait()
    assert claimed == handle
    assert handle.next_token == 7
    assert mine[:3] == pages, "the granted pages themselves, in their order: nothing was copied"
    assert mine[3:] == own[3:]
    assert stand.prefill_pages.free_count == PAGES // 2
    stand.decode_pages.free(mine)
    stand.check(idle=True)


async def test_a_claim_may_come_before_the_grant() -> None:
    stand = Stand()
    pages = stand.prefill_pages.allocate(3)
    async with stand.grants.promised("a") as promised:
        promise = await promised.promise(3, 0, 40)
        claiming = asyncio.create_task(stand.claims.claim(promise, await stand.decode_pages.reserve(4)))
        await settle()
        assert not claiming.done()
        await promised.grant(pages, 0, 40, next_token=7)
        _, mine = await claiming
        await promised.claimed.wait()
    assert mine[:3] == pages
    stand.decode_pages.free(mine)
    stand.check(idle=True)


async def test_leaving_before_the_claim_withdraws_the_grant() -> None:
    stand = Stand()
    async with stand.grants.promised("a") as promised:
        await promised.grant(stand.prefill_pages.allocate(3), 0, 40, next_token=7)
        stand.check(idle=False)
    await settle()
    stand.check(idle=True)


async def test_leaving_before_the_grant_ends_the_claim_that_waits() -> None:
    stand = Stand()
    async with stand.grants.promised("a") as promised:
        promise = await promised.promise(3, 0, 40)
        claiming = asyncio.create_task(stand.claims.claim(promise, await stand.decode_pages.reserve(4)))
        await settle()
    with pytest.raises(StaleHandle):
        await claiming
    stand.check(idle=True)


async def test_a_claimer_that_leaves_has_its_pages_back_before_the_grant() -> None:
    stand = Stand()
    async with stand.grants.promised("a") as promised:
        promise = await promised.promise(3, 0, 40)
        claiming = asyncio.create_task(stand.claims.claim(promise, await stand.decode_pages.reserve(4)))
        await settle()
        claiming.cancel()
        await settle()
        assert stand.decode_pages.free_count == PAGES // 2
        await promised.grant(stand.prefill_pages.allocate(3), 0, 40, next_token=7)
        assert not promised.claimed.is_set()
    await settle()
    stand.check(idle=True)


async def test_a_claim_of_an_earlier_promise_is_not_taken_for_one_of_this() -> None:
    stand = Stand()
    async with stand.grants.promised("a") as promised:
        earlier = (await promised.promise(3, 0, 40)).epoch
    async with stand.grants.promised("a") as promised:
        await promised.promise(3, 0, 40)
        stand.grants.on_claimed("a", earlier, ())
        assert not promised.claimed.is_set()
    await settle()
    stand.check(idle=True)


async def test_a_stale_claim_frees_what_it_had_reserved() -> None:
    stand = Stand()
    async with stand.grants.promised("a") as promised:
        handle = await promised.grant(stand.prefill_pages.allocate(2), 0, 20, next_token=7)
    await settle()
    with pytest.raises(StaleHandle):
        await stand.claims.claim(promise_of(stand, handle.epoch, pages=2), await stand.decode_pages.reserve(4))
    stand.check(idle=True)


async def test_no_cancellation_at_any_point_loses_a_page() -> None:
    for seed in range(400):
        stand = Stand(seed)
        chance = random.Random(seed)
        tasks = [asyncio.create_task(hand_off(stand, f"r{index}")) for index in range(6)]
        for _ in range(12):
            await asyncio.sleep(0)
            if chance.random() < 0.4:
                chance.choice(tasks).cancel()
        await asyncio.wait(tasks)
        await settle()
        stand.check(idle=True)


async def hand_off(stand: Stand, name: str) -> None:
    """One request's pages from prefill to decode and back to free; decode is told early or late."""
    pages = await stand.prefill_pages.reserve(2)
    try:
        async with stand.grants.promised(name) as promised:
            promise = await promised.promise(2, 0, 20)
            claiming = asyncio.create_task(claim_and_free(stand, promise))
            try:
                await stand.pause()
                granting, pages = pages, ()
                await promised.grant(granting, 0, 20, next_token=7)
                await asyncio.wait({claiming})
                await promised.claimed.wait()
            finally:
                claiming.cancel()
                await asyncio.wait({claiming})
    finally:
        stand.prefill_pages.free(pages)


async def claim_and_free(stand: Stand, promise: KvPromise) -> None:
    """Decode's part."""
    _, mine = await stand.claims.claim(promise, await stand.decode_pages.reserve(3))
    stand.decode_pages.free(mine)


async def settle() -> None:
    """Let what runs in the background end."""
    for _ in range(50):
        await asyncio.sleep(0)
