"""Owns how the pages of running requests grow with their tokens, and who gives way when there are none left.

A request is let in with pages for its prompt and its next tokens, not for all that it may ask for; the rest comes page
by page, early enough that no step waits. Where none is free, whoever came last gives way: its pages are free then, and
it starts again behind the others, as after the loss of a worker.

Invariants: no token is computed without a page for it. Somebody always gets on: who gives way does so for one that came
before it, or because no page came in time.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from splitwiser.errors import GaveWay
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.pool import OwnedPages, Pages

ASK_TOKENS = 16
"""A request asks for its next page this many tokens before it needs it."""
PRESS_TOKENS = 8
"""So many before, somebody has to give way."""
LAST_TOKENS = 2
"""As many steps may be under way when a token is told. With no more room than that, a request gives way itself."""


class Rooms:
    """The rooms of one decode worker. All methods run on one event loop's thread."""

    def __init__(self, pages: OwnedPages, layout: PoolLayout) -> None:
        self.pages = pages
        self.layout = layout
        self._rooms: list[Room] = []
        self._arrivals = 0

    def enter(self, shared: Sequence[int], own: Sequence[int], positions: int, priority: int = 0) -> "Room":
        """A request's room, for a `with` around its work.

        shared: pages before its own; positions: most tokens whose KV it may have to keep.
        """
        self._arrivals += 1
        return Room(self, shared, own, self.layout.pages_for(positions), (priority, self._arrivals))

    def join(self, room: "Room") -> None:
        """The request runs."""
        self._rooms.append(room)
        self.keep_headroom()

    def leave(self, room: "Room") -> None:
        """The request runs no more."""
        self._rooms.remove(room)
        self.keep_headroom()

    def keep_headroom(self) -> None:
        """Whoever is let in from now on must leave a page for each that may grow."""
        self.pages.keep_headroom(sum(room.may_grow for room in self._rooms))

    def press(self) -> None:
        """Have the last one give way, unless one does already: its pages are on their way."""
        if not any(room.gives_way for room in self._rooms):
            max(self._rooms, key=lambda room: room.rank).give_way()


class Room:
    """One request's pages, in the order of its tokens. Leaving the block by giving way raises GaveWay."""

    def __init__(
        self, rooms: Rooms, shared: Sequence[int], own: Sequence[int], most_pages: int, rank: tuple[int, int]
    ) -> None:
        self.pages = [*shared, *own]
        self.rank = rank
        self.gives_way = False
        self._rooms = rooms
        self._shared_count = len(shared)
        self._most_pages = most_pages
        self._asked: asyncio.Future[Pages] | None = None
        self._pressed = False

    @property
    def own(self) -> list[int]:
        """The pages after the shared ones."""
        return self.pages[self._shared_count :]

    @property
    def may_grow(self) -> bool:
        return len(self.pages) < self._most_pages

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task, "a room is a task's"
        self._task, self._cancelling = task, task.cancelling()
        self._rooms.join(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rooms.leave(self)
        if self._asked:
            asked, self._asked = self._asked, None
            self._rooms.pages.give_up(asked)
        # As asyncio.timeout tells its own cancellation from its caller's.
        if self.gives_way and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise GaveWay(
                "its pages were needed by an earlier request", help="send it again; the router does"
            ) from error

    def reach(self, positions: int) -> None:
        """The request's next token goes to position positions - 1: see that there will be pages for those after it."""
        if not self.may_grow:
            return
        if self._left(positions) <= ASK_TOKENS and not self._asked:
            self._ask()
        if self._asked and (left := self._left(positions)) <= PRESS_TOKENS:
            if left <= LAST_TOKENS:
                self.give_way()
            elif not self._pressed:
                self._pressed = True
                self._rooms.press()

    def give_way(self) -> None:
        """Stop the request's work. Without effect the second time."""
        if not self.gives_way:
            self.gives_way = True
            self._task.cancel()

    def _left(self, positions: int) -> int:
        return len(self.pages) * self._rooms.layout.page_tokens - positions

    def _ask(self) -> None:
        self._asked = self._rooms.pages.ask()
        if self._asked.done():
            self._grow(self._asked)
        else:
            self._asked.add_done_callback(self._grow)

    def _grow(self, asked: "asyncio.Future[Pages]") -> None:
        if asked is self._asked:
            self.pages += asked.result()
            self._asked, self._pressed = None, False
            if not self.may_grow:
                self._rooms.keep_headroom()
