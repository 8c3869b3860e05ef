"""The hand-off keeps every page in one place, whenever its callers are cancelled and whatever the store refuses."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from splitwiser.errors import StaleHandle
from splitwiser.kv.handle import KvHandle
from splitwiser.kv.handoff import Claims, Grants
from splitwiser.kv.ledger import Ledger
from splitwiser.kv.owner import Owner, Role
from splitwiser.kv.pool import OwnedPages

PAGES = 16
PREFILL, DECODE = Owner(1, Role.PREFILL), Owner(2, Role.DECODE)


class Stand:
    """A real ledger behind calls that take a moment, and both sides of the hand-off over it."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.ledger = Ledger("test", 7, PAGES, "layout")
        self.prefill_pages = OwnedPages(self.ledger.acquire(PREFILL, PAGES // 2))
        self.decode_pages = OwnedPages(self.ledger.acquire(DECODE, PAGES // 2))
        self.grants = Grants(self, self.prefill_pages, "layout")
        self.claims = Claims(self, self.decode_pages)

    async def grant(self, handle_id: str, pages: Sequence[int], tokens: int, layout_hash: str) -> KvHandle:
        await self._pause()
        handle = self.ledger.grant(PREFILL, handle_id, pages, tokens, layout_hash)
        await self._pause()
        return handle

    async def claim(self, handle: KvHandle, give: Sequence[int]) -> None:
        await self._pause()
        self.ledger.claim(DECODE, handle, give)
        self.grants.on_claimed(handle.handle_id, tuple(give))
        await self._pause()

    async def withdraw(self, handle: KvHandle) -> tuple[int, ...]:
        await self._pause()
        pages = self.ledger.withdraw(PREFILL, handle.handle_id, handle.epoch)
        await self._pause()
        return pages

    async def _pause(self) -> None:
        for _ in range(self._random.randrange(3)):
            await asyncio.sleep(0)

    def check(self, *, idle: bool) -> None:
        """Both sides agree with the ledger; once idle, every page is free on its side again."""
        self.ledger.check()
        if idle:
            counts = self.ledger.counts()
            assert (counts.granted, counts.free) == (0, 0)
            assert self.prefill_pages.counts() == {"free": counts.prefill, "in_use": 0}
            assert self.decode_pages.counts() == {"free": counts.decode, "in_use": 0}


async def test_pages_change_owner_and_equal_ones_come_back() -> None:
    stand = Stand()
    pages = stand.prefill_pages.allocate(3)
    async with stand.grants.granted("a", pages, 40) as (handle, claimed):
        own = await stand.decode_pages.reserve(5)
        mine = await stand.claims.claim(handle, own)
        await claimed.wait()
    assert mine[:3] == pages, "the granted pages themselves, in their order: nothing was copied"
    assert mine[3:] == own[3:]
    assert stand.prefill_pages.free_count == PAGES // 2
    stand.decode_pages.free(mine)
    stand.check(idle=True)


async def test_leaving_before_the_claim_withdraws_the_grant() -> None:
    stand = Stand()
    async with stand.grants.granted("a", stand.prefill_pages.allocate(3), 40):
        stand.check(idle=False)
    await settle()
    stand.check(idle=True)


async def test_a_stale_claim_frees_what_it_had_reserved() -> None:
    stand = Stand()
    async with stand.grants.granted("a", stand.prefill_pages.allocate(2), 20) as (handle, _):
        pass
    await settle()
    with pytest.raises(StaleHandle):
        await stand.claims.claim(handle, await stand.decode_pages.reserve(4))
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
    """One request's pages from prefill to decode and back to free."""
    pages = await stand.prefill_pages.reserve(2)
    async with stand.grants.granted(name, pages, 20) as (handle, claimed):
        claiming = asyncio.create_task(claim_and_free(stand, handle))
        try:
            await asyncio.wait({claiming})
            await claimed.wait()
        finally:
            claiming.cancel()
            await asyncio.wait({claiming})


async def claim_and_free(stand: Stand, handle: KvHandle) -> None:
    """Decode's part."""
    mine = await stand.claims.claim(handle, await stand.decode_pages.reserve(3))
    stand.decode_pages.free(mine)


async def settle() -> None:
    """Let what runs in the background end."""
    for _ in range(50):
        await asyncio.sleep(0)
