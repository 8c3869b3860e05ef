"""Owns the hand-off: pages change owner at the store, and each side's OwnedPages follows. No byte of KV moves.

Invariant, also when a caller is cancelled half-way: every page stays in exactly one owner's set. A store call that was
sent is therefore always awaited to its end, in the background if its caller is gone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from splitwiser.errors import SplitwiserError
from splitwiser.kv.handle import KvHandle
from splitwiser.kv.pool import OwnedPages

Result = TypeVar("Result")


class LedgerClient(Protocol):
    """The part of the store's client that moves pages."""

    async def grant(self, handle_id: str, pages: Sequence[int], tokens: int, layout_hash: str) -> KvHandle: ...
    async def claim(self, handle: KvHandle, give: Sequence[int]) -> None: ...
    async def withdraw(self, handle: KvHandle) -> tuple[int, ...]: ...


class Background:
    """Work that must end though nobody waits for it any more."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def finish_or_undo(self, work: Awaitable[Result], undo: Callable[[Result], Awaitable[None]]) -> Result:
        """Await work. If the caller is cancelled meanwhile, let work end in the background and then undo it."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.start(_undo_after(task, undo))
            raise

    def start(self, work: Awaitable[None]) -> None:
        """Run work with nobody waiting; a refusal by the store means that there is nothing left to do."""
        task = asyncio.ensure_future(_unless_refused(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _undo_after(task: "asyncio.Future[Result]", undo: Callable[[Result], Awaitable[None]]) -> None:
    await undo(await task)


async def _unless_refused(work: Awaitable[None]) -> None:
    try:
        await work
    except SplitwiserError:
        return


class Grants:
    """Prefill's side: grants pages and learns when they are claimed."""

    def __init__(self, ledger: LedgerClient, pages: OwnedPages, layout_hash: str) -> None:
        self._ledger = ledger
        self._pages = pages
        self._layout_hash = layout_hash
        self._background = Background()
        self._claimed: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def granted(
        self, handle_id: str, pages: tuple[int, ...], tokens: int
    ) -> AsyncIterator[tuple[KvHandle, asyncio.Event]]:
        """Give pages in use away under a new epoch; the event is set when decode has taken them over.

        Leaving the block before that, by cancellation or error, withdraws the grant: the pages are free again.
        """
        claimed = self._claimed[handle_id] = asyncio.Event()
        try:
            handle = await self._background.finish_or_undo(self._grant(handle_id, pages, tokens), self._withdraw)
            try:
                yield handle, claimed
            finally:
                if not claimed.is_set():
                    self._background.start(self._withdraw(handle))
        finally:
            del self._claimed[handle_id]

    async def _grant(self, handle_id: str, pages: tuple[int, ...], tokens: int) -> KvHandle:
        try:
            handle = await self._ledger.grant(handle_id, pages, tokens, self._layout_hash)
        except SplitwiserError:
            self._pages.free(pages)
            raise
        self._pages.hand_over(pages)
        return handle

    async def _withdraw(self, handle: KvHandle) -> None:
        self._pages.receive(await self._ledger.withdraw(handle))

    def on_claimed(self, handle_id: str, given: tuple[int, ...]) -> None:
        """The store's event: decode took handle_id's pages over and gave these free ones in return."""
        self._pages.receive(given)
        if claimed := self._claimed.get(handle_id):
            claimed.set()


class Claims:
    """Decode's side: takes granted pages over, giving as many free ones back."""

    def __init__(
        self,
        ledger: LedgerClient,
        pages: OwnedPages,
        abandon: Callable[[KvHandle, tuple[int, ...]], None] | None = None,
    ) -> None:
        """abandon: gives back what was claimed for a caller that is gone; by default, all of it becomes free."""
        self._ledger = ledger
        self._pages = pages
        self._background = Background()
        self._abandon = abandon or (lambda handle, pages: self._pages.free(pages))

    async def claim(self, handle: KvHandle, own: tuple[int, ...]) -> tuple[int, ...]:
        """Exchange len(handle.pages) of own (reserved, in use) for the granted pages; return the request's own pages.

        The result starts with the granted pages in their order; what is left of own follows as room to grow. Before
        them belong the pages of handle.shared, which are not owned. If the store refuses, or the caller is cancelled,
        own or what came in its place is given back.
        """

        async def undo(pages: tuple[int, ...]) -> None:
            self._abandon(handle, pages)

        return await self._background.finish_or_undo(self._claim(handle, own), undo)

    async def _claim(self, handle: KvHandle, own: tuple[int, ...]) -> tuple[int, ...]:
        give, room = own[: len(handle.pages)], own[len(handle.pages) :]
        try:
            await self._ledger.claim(handle, give)
        except SplitwiserError:
            self._pages.free(own)
            raise
        self._pages.hand_over(give)
        self._pages.adopt(handle.pages)
        return handle.pages + room
