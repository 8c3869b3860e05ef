"""Owns prefill's side of the hand-off: a grant is promised, made, and either claimed or withdrawn.

Invariant, also when a caller is cancelled half-way: every page stays in exactly one owner's set.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from splitwiser.errors import SplitwiserError
from splitwiser.kv.background import Background
from splitwiser.kv.handle import Epoch, KvHandle, KvPromise
from splitwiser.kv.pool import OwnedPages


class GrantingClient(Protocol):
    """The part of the store's client that grants."""

    async def promise(self, handle_id: str) -> Epoch: ...
    async def grant(self, promise: KvPromise, pages: Sequence[int], next_token: int) -> KvHandle: ...
    async def withdraw(self, handle_id: str, epoch: Epoch) -> tuple[int, ...]: ...


class PromisedGrant:
    """One grant to come. claimed is set when decode has taken its pages over."""

    def __init__(self, ledger: GrantingClient, pages: OwnedPages, handle_id: str, layout_hash: str) -> None:
        self.claimed = asyncio.Event()
        self._ledger = ledger
        self._pages = pages
        self._handle_id = handle_id
        self._layout_hash = layout_hash
        self._epoch = asyncio.ensure_future(ledger.promise(handle_id))
        self._granting: asyncio.Task[KvHandle] | None = None

    async def promise(self, pages: int, shared: int, tokens: int) -> KvPromise:
        """What a claim needs to know: how many pages are to change owner, how many are not, and what they will hold."""
        epoch = await asyncio.shield(self._epoch)
        return KvPromise(self._handle_id, epoch, pages, shared, tokens, self._layout_hash)

    async def grant(self, pages: Sequence[int], shared: int, tokens: int, next_token: int) -> KvHandle:
        """Give pages in use away. Should the store refuse, they are free; if the caller leaves, withdraw sees to it."""
        self._granting = asyncio.ensure_future(self._grant(pages, shared, tokens, next_token))
        return await asyncio.shield(self._granting)

    def is_of(self, epoch: Epoch) -> bool:
        """Whether this is the promise of that epoch: its id may have been promised before."""
        return self._epoch.done() and self._epoch.result() == epoch

    async def withdraw(self) -> None:
        """Take the promise back, or what was granted. To be called once, when the caller leaves before the claim."""
        epoch = await self._epoch
        if self._granting:
            with suppress(SplitwiserError):
                await self._granting
        self._pages.receive(await self._ledger.withdraw(self._handle_id, epoch))

    async def _grant(self, pages: Sequence[int], shared: int, tokens: int, next_token: int) -> KvHandle:
        try:
            promise = await self.promise(len(pages), shared, tokens)
            handle = await self._ledger.grant(promise, pages, next_token)
        except SplitwiserError:
            self._pages.free(pages)
            raise
        self._pages.hand_over(pages)
        return handle


class Grants:
    """Makes grants and learns when they are claimed."""

    def __init__(self, ledger: GrantingClient, pages: OwnedPages, layout_hash: str) -> None:
        self._ledger = ledger
        self._pages = pages
        self._layout_hash = layout_hash
        self._background = Background()
        self._promised: dict[str, PromisedGrant] = {}

    @asynccontextmanager
    async def promised(self, handle_id: str) -> AsyncIterator[PromisedGrant]:
        """Promise a grant; the store is asked meanwhile. One at a time under one id.

        Leaving the block before the claim withdraws the promise, or the grant: its pages are free again.
        """
        promised = self._promised[handle_id] = PromisedGrant(self._ledger, self._pages, handle_id, self._layout_hash)
        try:
            yield promised
        finally:
            del self._promised[handle_id]
            if not promised.claimed.is_set():
                self._background.start(promised.withdraw())

    def on_claimed(self, handle_id: str, epoch: Epoch, given: tuple[int, ...]) -> None:
        """The store's event: decode took handle_id's pages over and gave these free ones in return."""
        self._pages.receive(given)
        promised = self._promised.get(handle_id)
        if promised and promised.is_of(epoch):
            promised.claimed.set()
