"""Owns decode's side of the hand-off: promised pages become decode's own, and as many free ones prefill's.

Invariant, also when a caller is cancelled half-way: every page stays in exactly one owner's set.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from splitwiser.errors import SplitwiserError
from splitwiser.kv.background import Background
from splitwiser.kv.handle import KvHandle, KvPromise
from splitwiser.kv.pool import OwnedPages

Claimed = tuple[KvHandle, tuple[int, ...]]
"""The handle, and the request's own pages."""


class ClaimingClient(Protocol):
    """The part of the store's client that claims."""

    async def claim(self, promise: KvPromise, give: Sequence[int]) -> KvHandle: ...
    async def leave_claim(self, promise: KvPromise) -> None: ...


class Claims:
    """Takes promised pages over as soon as they are granted, giving as many free ones back."""

    def __init__(
        self,
        ledger: ClaimingClient,
        pages: OwnedPages,
        abandon: Callable[[KvHandle, tuple[int, ...]], None] | None = None,
    ) -> None:
        """abandon: gives back what was claimed for a caller that is gone; by default, all of it becomes free."""
        self._ledger = ledger
        self._pages = pages
        self._background = Background()
        self._abandon = abandon or (lambda handle, pages: self._pages.free(pages))

    async def claim(self, promise: KvPromise, own: tuple[int, ...]) -> Claimed:
        """Exchange promise.pages of own (reserved, in use) for the granted pages, once they are granted.

        Of the request's own pages the granted ones come first, in their order; what is left of own follows as room to
        grow. Before them belong the pages of handle.shared, which are not owned. If the store refuses, or the caller is
        cancelled, own or what came in its place is given back.
        """

        async def undo(claimed: Claimed) -> None:
            self._abandon(*claimed)

        try:
            return await self._background.finish_or_undo(self._claim(promise, own), undo)
        except asyncio.CancelledError:
            # It may wait for a prompt that takes long, and nobody wants it any more.
            self._background.start(self._ledger.leave_claim(promise))
            raise

    async def _claim(self, promise: KvPromise, own: tuple[int, ...]) -> Claimed:
        give, room = own[: promise.pages], own[promise.pages :]
        try:
            handle = await self._ledger.claim(promise, give)
        except SplitwiserError:
            self._pages.free(own)
            raise
        self._pages.hand_over(give)
        self._pages.adopt(handle.pages)
        return handle, handle.pages + room
