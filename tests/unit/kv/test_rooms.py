"""Rooms: no token without a page for it, everybody ends, and whoever gives way came last."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitwiser.errors import GaveWay
from splitwiser.kv.layout import LayerShape, PoolLayout
from splitwiser.kv.pool import OwnedPages
from splitwiser.kv.rooms import LAST_TOKENS, Room, Rooms

LAYOUT = PoolLayout("test", "float32", page_tokens=8, pages=64, layers=(LayerShape(1, 1, 1),))
FIRST_TOKENS = 32
"""Tokens of an answer that a request is let in with."""
LONGEST = 160


class Stand:
    """A decode worker's pages and rooms, and requests that take a token each time the loop turns."""

    def __init__(self, pages: int) -> None:
        self.pages = OwnedPages(range(pages))
        self.rooms = Rooms(self.pages, LAYOUT)
        self.running: list[Room] = []
        self.gave_way: list[str] = []

    async def request(self, tokens: int, name: str = "", priority: int = 0) -> None:
        """From its first token to its last, with a new start whenever it gives way."""
        done = 0
        while done < tokens:
            try:
                async with self.room(done, tokens, priority) as room:
                    while done < tokens:
                        await asyncio.sleep(0)
                        done += 1
                        room.reach(done)
                        in_flight = min(done + LAST_TOKENS, tokens)
                        assert in_flight <= len(room.pages) * LAYOUT.page_tokens, "a token without a page"
            except GaveWay:
                self.gave_way.append(name)

    @asynccontextmanager
    async def room(self, done: int, tokens: int, priority: int = 0) -> AsyncIterator[Room]:
        own = await self.pages.reserve(LAYOUT.pages_for(min(tokens, done + FIRST_TOKENS)))
        room = self.rooms.enter((), own, tokens, priority)
        try:
            with room:
                self.running.append(room)
                yield room
        finally:
            self.running.remove(room)
            self.pages.free(room.own)


@given(
    pages=st.integers(LAYOUT.pages_for(LONGEST), 64),
    lengths=st.lists(st.integers(1, LONGEST), min_size=1, max_size=12),
)
async def test_every_request_ends_and_every_page_comes_back(pages: int, lengths: list[int]) -> None:
    stand = Stand(pages)
    async with asyncio.timeout(20):
        await asyncio.gather(*(stand.request(tokens) for tokens in lengths))
    assert stand.pages.free_count == pages
    assert stand.pages.in_use_count == 0


async def test_more_run_at_once_than_pages_for_all_of_their_tokens_would_let() -> None:
    stand = Stand(24)
    tasks = [asyncio.create_task(stand.request(LONGEST)) for _ in range(4)]
    await asyncio.sleep(0)
    assert len(stand.running) == 4 > 24 // LAYOUT.pages_for(LONGEST)
    await asyncio.gather(*tasks)


async def test_nobody_gives_way_where_there_is_enough() -> None:
    stand = Stand(64)
    await asyncio.gather(*(stand.request(100) for _ in range(4)))
    assert stand.gave_way == []


async def test_who_came_last_gives_way() -> None:
    stand = Stand(12)
    await asyncio.gather(stand.request(90, "first"), stand.request(90, "second"))
    assert set(stand.gave_way) == {"second"}


async def test_a_lower_priority_gives_way_though_it_came_first() -> None:
    stand = Stand(12)
    await asyncio.gather(stand.request(90, "first", priority=1), stand.request(90, "second", priority=0))
    assert set(stand.gave_way) == {"first"}


async def test_one_whose_page_does_not_come_gives_way_while_two_steps_still_have_room() -> None:
    stand = Stand(8)
    first, last = [stand.rooms.enter((), await stand.pages.reserve(4), 80) for _ in range(2)]

    async def hold(room: Room) -> None:
        with room:
            await asyncio.sleep(60)

    holding = [asyncio.create_task(hold(room)) for room in (first, last)]
    await asyncio.sleep(0)
    for done in range(FIRST_TOKENS - LAST_TOKENS):
        first.reach(done)
        await asyncio.sleep(0)
    # The pages of the last one should be back by now.
    assert (first.gives_way, last.gives_way) == (False, True)
    first.reach(FIRST_TOKENS - 2)
    assert [type(end) for end in await asyncio.gather(*holding, return_exceptions=True)] == [GaveWay, GaveWay]


async def test_for_each_that_may_grow_a_page_is_left_by_those_who_come_in() -> None:
    stand = Stand(10)
    async with stand.room(0, FIRST_TOKENS + 8) as grows, stand.room(0, FIRST_TOKENS):
        assert stand.pages.can_allocate(1)
        assert not stand.pages.can_allocate(2)
        grows.reach(FIRST_TOKENS - 8)
        assert (len(grows.pages), stand.pages.free_count) == (5, 1)
        assert stand.pages.can_allocate(1)
    assert stand.pages.can_allocate(10)


async def test_the_callers_own_cancellation_stays_one() -> None:
    stand = Stand(8)
    entered = asyncio.Event()

    async def hold() -> None:
        async with stand.room(0, 80) as room:
            entered.set()
            try:
                await asyncio.sleep(60)
            finally:
                room.give_way()

    task = asyncio.create_task(hold())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stand.pages.free_count == 8
