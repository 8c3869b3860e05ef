"""A worker's pages: none lost, none twice, none given past one who waits in front."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitwiser.errors import PromptTooLong
from splitwiser.kv.pool import OwnedPages

TOTAL = 8

Operation = tuple[str, int]
NAMES = [
    "reserve",
    "cancel",
    "ask",
    "give_up",
    "headroom",
    "allocate",
    "free",
    "hand_over",
    "adopt",
    "receive",
    "yield",
]
OPERATIONS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, TOTAL)), max_size=60)


class Worker:
    """Does what it is told to an OwnedPages, and keeps its own book of whose each page is."""

    def __init__(self) -> None:
        self.pages = OwnedPages(range(TOTAL))
        self.held: list[tuple[int, ...]] = []
        self.foreign: list[tuple[int, ...]] = []
        self.waiting: list[asyncio.Task[None]] = []
        self.asked: list[asyncio.Future[tuple[int, ...]]] = []

    async def apply(self, operation: str, number: int) -> None:
        if operation == "reserve":
            self.waiting.append(asyncio.ensure_future(self._reserve(number)))
        elif operation == "allocate" and self.pages.can_allocate(number):
            self.held.append(self.pages.allocate(number))
        elif operation == "cancel" and self.waiting:
            self.waiting.pop(number % len(self.waiting)).cancel()
        elif operation == "ask":
            self.asked.append(self.pages.ask())
        elif operation == "give_up" and self.asked:
            self.pages.give_up(self.asked.pop(number % len(self.asked)))
        elif operation == "headroom":
            self.pages.keep_headroom(number)
        elif operation == "yield":
            await asyncio.sleep(0)
        self._move(operation, number)

    def _move(self, operation: str, number: int) -> None:
        if operation == "free" and self.held:
            self.pages.free(self.held.pop(number % len(self.held)))
        elif operation == "hand_over" and self.held:
            self.foreign.append(self.held.pop(number % len(self.held)))
            self.pages.hand_over(self.foreign[-1])
        elif operation == "adopt" and self.foreign:
            self.held.append(self.foreign.pop(number % len(self.foreign)))
            self.pages.adopt(self.held[-1])
        elif operation == "receive" and self.foreign:
            self.pages.receive(self.foreign.pop(number % len(self.foreign)))

    async def _reserve(self, count: int) -> None:
        self.held.append(await self.pages.reserve(count))

    async def end(self) -> None:
        for task in self.waiting:
            task.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)
        while self.asked:
            self.pages.give_up(self.asked.pop())
        self.pages.keep_headroom(0)
        while self.held:
            self.pages.free(self.held.pop())
        while self.foreign:
            self.pages.receive(self.foreign.pop())


@given(OPERATIONS)
async def test_every_page_is_in_one_place_whatever_happens(operations: list[Operation]) -> None:
    worker = Worker()
    for operation, number in operations:
        await worker.apply(operation, number)
        foreign = sum(len(pages) for pages in worker.foreign)
        assert worker.pages.free_count + worker.pages.in_use_count + foreign == TOTAL
    await worker.end()
    assert sorted(worker.pages.allocate(TOTAL)) == list(range(TOTAL))


async def test_reservations_are_served_in_order_even_if_a_later_one_would_fit() -> None:
    pages = OwnedPages(range(4))
    held = pages.allocate(3)
    large = asyncio.ensure_future(pages.reserve(2))
    small = asyncio.ensure_future(pages.reserve(1))
    await asyncio.sleep(0)
    assert not pages.can_allocate(1)
    assert not small.done()
    pages.free(held[:1])
    assert len(await large) == 2
    assert not small.done()
    pages.free(held[1:])
    assert len(await small) == 1


async def test_cancelling_the_first_waiter_lets_the_next_one_in() -> None:
    pages = OwnedPages(range(2))
    pages.allocate(1)
    large = asyncio.ensure_future(pages.reserve(2))
    small = asyncio.ensure_future(pages.reserve(1))
    await asyncio.sleep(0)
    large.cancel()
    assert len(await small) == 1


async def test_what_a_cancelled_waiter_wanted_is_not_recalled_and_not_hoarded() -> None:
    pages = OwnedPages(range(4), lent=28, spare=2, keep=8)
    waiting = asyncio.ensure_future(pages.reserve(24))
    await asyncio.sleep(0)
    assert pages.recallable == 20
    waiting.cancel()
    await asyncio.sleep(0)
    assert (pages.recallable, pages.is_short) == (0, False)
    pages.take_back(range(4, 24))
    assert pages.surplus == 24 - 8


async def test_a_request_that_runs_gets_its_next_page_before_all_that_have_none() -> None:
    pages = OwnedPages(range(3))
    held = pages.allocate(3)
    large = asyncio.ensure_future(pages.reserve(2))
    await asyncio.sleep(0)
    first, second = pages.ask(), pages.ask()
    pages.free(held[:1])
    assert first.done()
    assert not second.done()
    pages.give_up(second)
    pages.free(held[1:])
    assert len(await large) == 2


async def test_whoever_is_let_in_leaves_the_headroom() -> None:
    pages = OwnedPages(range(4))
    pages.keep_headroom(2)
    assert not pages.can_allocate(3)
    waiting = asyncio.ensure_future(pages.reserve(3))
    await asyncio.sleep(0)
    assert not waiting.done()
    pages.keep_headroom(1)
    assert len(await waiting) == 3
    assert len(await pages.ask()) == 1


async def test_a_cancelled_waiter_gives_back_what_it_just_got() -> None:
    pages = OwnedPages(range(2))
    held = pages.allocate(2)
    waiter = asyncio.ensure_future(pages.reserve(2))
    await asyncio.sleep(0)
    pages.free(held)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert pages.free_count == 2


async def test_more_than_the_worker_owns_is_refused_at_once() -> None:
    with pytest.raises(PromptTooLong) as caught:
        await OwnedPages(range(2)).reserve(3)
    assert "pool.pages" in caught.value.help


async def test_freed_pages_call_back_only_when_no_reservation_wants_them() -> None:
    pages = OwnedPages(range(2))
    calls: list[int] = []
    pages.on_freed(lambda: calls.append(pages.free_count))
    held = pages.allocate(2)
    waiter = asyncio.ensure_future(pages.reserve(2))
    await asyncio.sleep(0)
    pages.free(held[:1])
    assert calls == []
    pages.free(held[1:])
    assert calls == [0]
    pages.free(await waiter)
    assert calls == [0, 2]
