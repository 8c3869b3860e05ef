"""Owns how a worker's pages serve the prefix index while the worker does not need them, and how they come back.

Each worker is due its share of the pool. It keeps some free pages at hand; the rest is the store's to give to whoever
recalls pages, so that what was free becomes room for pages with content.
"""

from collections.abc import Sequence
from typing import Protocol

from splitwiser.kv.handoff import Background
from splitwiser.kv.pool import OwnedPages


class LendingClient(Protocol):
    """The part of the store's client that takes free pages and gives some back."""

    async def release(self, pages: Sequence[int]) -> None: ...
    async def recall(self, count: int) -> tuple[int, ...]: ...


class Lending:
    """Lends one worker's surplus and recalls what it needs, in the background.

    Neither waits for the other: a recall that waits for pages which another worker must release first would otherwise
    keep this worker's own surplus from that one.
    """

    def __init__(self, ledger: LendingClient, pages: OwnedPages) -> None:
        self._ledger = ledger
        self._pages = pages
        self._background = Background()
        self._recalling = self._releasing = False
        pages.on_changed(self._start)

    def _start(self) -> None:
        if self._pages.recallable and not self._recalling:
            self._recalling = True
            self._background.start(self._recall())
        if self._pages.surplus and not self._releasing:
            self._releasing = True
            self._background.start(self._release())

    async def _recall(self) -> None:
        try:
            while count := self._pages.recallable:
                self._pages.take_back(await self._ledger.recall(count))
        finally:
            self._recalling = False

    async def _release(self) -> None:
        try:
            while count := self._pages.surplus:
                await self._ledger.release(self._pages.lend_free(count))
        finally:
            self._releasing = False
