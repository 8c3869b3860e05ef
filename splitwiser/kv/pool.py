"""Owns a worker's side of the pool: which pages are its own, which of those are free, and who waits for some.

Knows no tensor and no store. Invariant: free pages and pages in use are disjoint, and together all it owns. It may
have lent some of its share: it gets as many back, if not the same ones.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from splitwiser.errors import PromptTooLong


class OwnedPages:
    """The pages of one worker. All methods run on one event loop's thread."""

    def __init__(self, pages: Iterable[int] = (), *, lent: int = 0, spare: int = 0, keep: int | None = None) -> None:
        """Own pages, and be due lent more. Free ones below spare are recalled, above keep lent (None: never)."""
        self._free = deque(pages)
        self._in_use: set[int] = set()
        self._waiters: deque[tuple[int, asyncio.Future[tuple[int, ...]]]] = deque()
        self._freed_callbacks: list[Callable[[], None]] = []
        self._changed_callbacks: list[Callable[[], None]] = []
        self._short = 0
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
        return max(self._waiters[0][0] if self._waiters else 0, self._short) > len(self._free)

    @property
    def surplus(self) -> int:
        """Free pages to lend now."""
        return 0 if self._keep is None else max(0, len(self._free) - max(self._wanted, self._keep))

    @property
    def _wanted(self) -> int:
        return max(self._waiters[0][0] if self._waiters else 0, self._short, self._spare)

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

    def can_allocate(self, count: int) -> bool:
        """Whether count pages are free and nobody waits in front."""
        can = not self._waiters and count <= len(self._free)
        if not can and count > self._short:
            self._short = count
            self._tell_changed()
        return can

    def allocate(self, count: int) -> tuple[int, ...]:
        """Take count free pages into use; call only after can_allocate."""
        assert self.can_allocate(count), (count, len(self._free))
        return self._take(count)

    async def reserve(self, count: int) -> tuple[int, ...]:
        """Wait, first come first served, for count free pages and take them into use. Cancelling takes none."""
        self.require(count)
        if self.can_allocate(count):
            return self._take(count)
        future: asyncio.Future[tuple[int, ...]] = asyncio.get_running_loop().create_future()
        self._waiters.append((count, future))
        self._tell_changed()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.free(future.result())
            else:
                self._waiters = deque(entry for entry in self._waiters if entry[1] is not future)
                self._serve_waiters()
            raise

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

    def _take(self, count: int) -> tuple[int, ...]:
        pages = tuple(self._free.popleft() for _ in range(count))
        self._in_use.update(pages)
        self._short = 0
        self._tell_changed()
        return pages

    def _serve_waiters(self) -> None:
        while self._waiters and self._waiters[0][0] <= len(self._free):
            count, future = self._waiters.popleft()
            if not future.done():
                future.set_result(self._take(count))
        self._tell_changed()
        if not self._waiters:
            for callback in self._freed_callbacks:
                callback()

    def _tell_changed(self) -> None:
        for callback in self._changed_callbacks:
            callback()
