"""Owns how a worker's pages serve the prefix index while the worker does not need them, and how they come back.

Each worker is due its share of the pool. It keeps some free pages at hand; the rest is the store's to give to whoever
recalls pages, so that what was free becomes room for pages with content.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from splitwiser.kv.background import Background
from splitwiser.kv.pool import OwnedPages

PAUSE_S = 0.01


class LendingClient(Protocol):
    """The part of the store's client that takes free pages and gives some back."""

    async def release(self, pages: Sequence[int]) -> None: ...
    async def recall(self, count: int) -> tuple[int, ...]: ...


class Lending:
    """Lends one worker's surplus and recalls what it needs, in the background.

    For whoever waits it recalls at once. What is only to be at hand, or is surplus, moves a moment later: most likely a
    hand-off is under way now, and the store serves one frame after another.

    Neither waits for the other: a recall that waits for pages which another worker must release first would otherwise
    keep this worker's own surplus from that one.
    """

    def __init__(self, ledger: LendingClient, pages: OwnedPages, *, pause_s: float = PAUSE_S) -> None:
        self._ledger = ledger
        self._pages = pages
        self._pause_s = pause_s
        self._background = Background()
        self._recalling = self._releasing = False
        self._urgent = asyncio.Event()
        pages.on_changed(self._start)

    def _start(self) -> None:
        if self._pages.is_short:
            self._urgent.set()
        if self._pages.recallable and not self._recalling:
            self._recalling = True
            self._background.start(self._recall())
        if self._pages.surplus and not self._releasing:
            self._releasing = True
            self._background.start(self._release())

    async def _recall(self) -> None:
        try:
            await self._pause()
            while count := self._pages.recallable:
                self._pages.take_back(await self._ledger.recall(count))
        finally:
            self._recalling = False

    async def _pause(self) -> None:
        """Wait a moment, or until somebody waits for pages."""
        self._urgent.clear()
        if not self._pages.is_short:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s):
                    await self._urgent.wait()

    async def _release(self) -> None:
        try:
            await asyncio.sleep(self._pause_s)
            while count := self._pages.surplus:
                await self._ledger.release(self._pages.lend_free(count))
        finally:
            self._releasing = False
