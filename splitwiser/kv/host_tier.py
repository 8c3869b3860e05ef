"""Owns a prefill worker's part in the host tier: it copies pages that nobody reads to the host, and back when a prompt
needs them. The store says which; a copy counts from the moment when the store is told that it is whole."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from splitwiser.kv.host_index import Copies
from splitwiser.kv.lending import PAUSE_S

SAVE_PAGES = 32
"""Most pages of one save: they cannot be evicted meanwhile."""


class PageCopier(Protocol):
    """Copies between the pool and the host's pages. Both block until the copies are whole."""

    def save(self, copies: Copies) -> None:
        """Pages to host pages."""

    def load(self, copies: Copies) -> None:
        """Host pages to pages."""


class SavingClient(Protocol):
    """The part of the store's client that saves pages."""

    async def save(self, count: int) -> Copies: ...
    async def saved(self) -> None: ...


class HostTier:
    """Saves without end, and loads what it is told to: each on a thread of its own, as a prompt waits for a load."""

    def __init__(self, ledger: SavingClient, copier: PageCopier) -> None:
        self._ledger = ledger
        self._copier = copier
        self._saver = ThreadPoolExecutor(1, "save")
        self._loader = ThreadPoolExecutor(1, "load")

    async def run(self, on_saved: Callable[[int], None]) -> None:
        """Save whatever the store finds worth it, until cancelled; on_saved takes how many pages a save had.

        Raises when copying fails.
        """
        while True:
            # A moment later: most likely a hand-off is under way now, and more pages become idle with these.
            await asyncio.sleep(PAUSE_S)
            copies = await self._ledger.save(SAVE_PAGES)
            await asyncio.get_running_loop().run_in_executor(self._saver, self._copier.save, copies)
            await self._ledger.saved()
            on_saved(len(copies.pages))

    async def load(self, copies: Copies) -> None:
        """Returns when the pages have what the host pages hold."""
        await asyncio.get_running_loop().run_in_executor(self._loader, self._copier.load, copies)

    def close(self) -> None:
        """Return when nothing is copied any more. To be called before the worker leaves the store."""
        for executor in (self._saver, self._loader):
            executor.shutdown(wait=True, cancel_futures=True)
