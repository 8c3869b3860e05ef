"""Owns a worker's side of the pool: which pages are its own, which of those are free, and who waits for some.

Knows no tensor and no store. Invariant: free pages and pages in use are disjoint, and together all it owns. It may
have lent some of its share: it gets as many back, if not the same ones.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from splitwiser.errors import PromptTooLong

Pages = tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Waiter:
    """Who waits for count pages. is_running: for a request whose other pages are in use, so that it goes first."""

    count: int
    is_running: bool
    pages: "asyncio.Future[Pages]"


class OwnedPages:
    """The pages of one worker. All methods run on one event loop's thread."""

    def __init__(self, pages: Iterable[int] = (), *, lent: int = 0, spare: int = 0, keep: int | None = None) -> None:
        """Own pages, and be due lent more. Free ones below spare are recalled, above keep lent (None: never)."""
        self._free = deque(pages)
        self._in_use: set[int] = set()
        self._waiters: deque[_Waiter] = deque()
        self._freed_callbacks: list[Callable[[], None]] = []
        self._changed_callbacks: list[Callable[[], None]] = []
        self._short = self._headroom = 0
        self._spare, self._keep = spare, keep
        self.lent = lent
        self.capacity = len(self._free) + lent

    @property
    def free_count(self) -> int:
        return len(self._free)

    @property
    def in_use_count(self) -> int:
        return len(self._in_use)

    @property
    def recallable(self) -> int:
        """Lent pages to get back now: for the first who waits, or to have some to spare."""
        return max(0, min(self._wanted - len(self._free), self.lent))

    @property
    def is_short(self) -> bool:
        """Whether somebody waits for more than is free."""
        return self._awaited > len(self._free)

    @property
    def surplus(self) -> int:
        """Free pages to lend now."""
        return 0 if self._keep is None else max(0, len(self._free) - max(self._wanted, self._keep))

    @property
    def _wanted(self) -> int:
        return max(self._awaited, self._spare)

    @property
    def _awaited(self) -> int:
        """Free pages without which nobody gets on."""
        return max(self._needed(self._waiters[0]) if self._waiters else 0, self._short)

    def _needed(self, waiter: _Waiter) -> int:
        return waiter.count + (0 if waiter.is_running else self._headroom)

    def counts(self) -> dict[str, int]:
        """Pages by state, for metrics."""
        return {"free": self.free_count, "in_use": self.in_use_count}

    def on_freed(self, callback: Callable[[], None]) -> None:
        """Call back each time that pages have become free and nobody waits for them in reserve."""
        self._freed_callbacks.append(callback)

    def on_changed(self, callback: Callable[[], None]) -> None:
        """Call back each time that recallable or surplus may have grown."""
        self._changed_callbacks.append(callback)

    def require(self, count: int) -> None:
        """Raise PromptTooLong if count pages could never be free at once."""
        if count > self.capacity:
            raise PromptTooLong(
                f"needs {count} pages, the worker's share is {self.capacity}",
                help="shorten prompt or max_tokens, or raise pool.pages",
            )

    def keep_headroom(self, count: int) -> None:
        """From now on, leave so many pages free when one is let in that has none yet."""
        self._headroom = count
        self._serve_waiters()

    def can_allocate(self, count: int) -> bool:
        """Whether count pages are free and nobody waits in front; if not, so many are wanted until some are taken."""
        can = self._has_room(count)
        if not can and count + self._headroom > self._short:
            self._short = count + self._headroom
            self._tell_changed()
        return can

    def allocate(self, count: int) -> Pages:
        """Take count free pages into use; call only after can_allocate."""
        assert self.can_allocate(count), (count, len(self._free))
        return self._take(count)

    async def reserve(self, count: int) -> Pages:
        """Wait, first come first served, for count free pages and take them into use. Cancelling takes none."""
        self.require(count)
        # Not can_allocate: what is wanted here is wanted for as long as this waits.
        if self._has_room(count):
            return self._take(count)
        pages = self._wait(count, len(self._waiters))
        try:
            return await pages
        except asyncio.CancelledError:
            self.give_up(pages)
            raise

    def ask(self) -> "asyncio.Future[Pages]":
        """One more page, in use, for a request that runs: before all that have none yet. To be awaited, or given up."""
        running = sum(1 for waiter in self._waiters if waiter.is_running)
        asked = self._wait(1, running, is_running=True)
        self._serve_waiters()
        return asked

    def give_up(self, asked: "asyncio.Future[Pages]") -> None:
        """Nobody waits any more for what was asked: pages that came are free."""
        if asked.cancel() or asked.cancelled():
            self._serve_waiters()
        else:
            self.free(asked.result())

    def free(self, pages: Iterable[int]) -> None:
        """Pages in use become free again."""
        for page in pages:
            self._in_use.remove(page)
            self._free.append(page)
        self._serve_waiters()

    def hand_over(self, pages: Iterable[int]) -> None:
        """Pages in use now belong to somebody else."""
        for page in pages:
            self._in_use.remove(page)

    def lend(self, pages: Iterable[int]) -> None:
        """Pages in use are nobody's for now; as many others are due."""
        before = len(self._in_use)
        self.hand_over(pages)
        self.lent += before - len(self._in_use)
        self._tell_changed()

    def lend_free(self, count: int) -> tuple[int, ...]:
        """Part with count free pages for now."""
        self.lent += count
        return tuple(self._free.pop() for _ in range(count))

    def take_back(self, pages: Sequence[int]) -> None:
        """As many lent pages have come back, free."""
        self.lent -= len(pages)
        self.receive(pages)

    def adopt(self, pages: Iterable[int]) -> None:
        """Somebody else's pages are now this worker's, in use."""
        for page in pages:
            assert page not in self._in_use, page
            self._in_use.add(page)

    def receive(self, pages: Iterable[int]) -> None:
        """Somebody else's pages are now this worker's, free."""
        self._free.extend(pages)
        self._serve_waiters()

    def _has_room(self, count: int) -> bool:
        return not self._waiters and count + self._headroom <= len(self._free)

    def _wait(self, count: int, place: int, *, is_running: bool = False) -> "asyncio.Future[Pages]":
        pages: asyncio.Future[Pages] = asyncio.get_running_loop().create_future()
        self._waiters.insert(place, _Waiter(count, is_running, pages))
        self._tell_changed()
        return pages

    def _take(self, count: int) -> Pages:
        pages = tuple(self._free.popleft() for _ in range(count))
        self._in_use.update(pages)
        self._short = 0
        self._tell_changed()
        return pages

    def _serve_waiters(self) -> None:
        while self._waiters and (self._waiters[0].pages.done() or self._needed(self._waiters[0]) <= len(self._free)):
            waiter = self._waiters.popleft()
            if not waiter.pages.done():
                waiter.pages.set_result(self._take(waiter.count))
        self._tell_changed()
        if not self._waiters:
            for callback in self._freed_callbacks:
                callback()

    def _tell_changed(self) -> None:
        for callback in self._changed_callbacks:
            callback()
