"""Owns decode's side of the prefix index: a request's full pages go in, lent until the worker needs as many.

None of it is in the way of the hand-off: the prompt's pages are shared after the claim, the answer's after the end. The
store's answers come in the order in which it gave them, so a page that it took is lent before it comes back.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from splitwiser.errors import SplitwiserError
from splitwiser.kv.background import Background
from splitwiser.kv.handle import KvHandle
from splitwiser.kv.pool import OwnedPages
from splitwiser.kv.prefix_hash import PageHasher
from splitwiser.kv.prefix_ledger import Shared


class SharingClient(Protocol):
    """The part of the store's client that shares pages."""

    async def share_prompt(self, handle: KvHandle) -> Shared: ...
    async def share_answer(
        self, handle: KvHandle, pages: Sequence[int], hashes: Sequence[bytes]
    ) -> tuple[int, ...]: ...


class Sharing:
    """Shares what this worker's requests computed."""

    def __init__(self, ledger: SharingClient, pages: OwnedPages, hasher: PageHasher) -> None:
        self._ledger = ledger
        self._pages = pages
        self._hasher = hasher
        self._background = Background()

    def share(self, handle: KvHandle) -> "SharedRequest":
        """Share a claimed prompt's full pages."""
        return SharedRequest(self._ledger, self._pages, self._hasher, self._background, handle)

    def abandon(self, handle: KvHandle, own: Sequence[int]) -> None:
        """Give back what was claimed for a request whose caller is gone."""
        self.share(handle).end(own, ())


class SharedRequest:
    """One claimed request, until its end."""

    def __init__(
        self,
        ledger: SharingClient,
        pages: OwnedPages,
        hasher: PageHasher,
        background: Background,
        handle: KvHandle,
    ) -> None:
        self._ledger = ledger
        self._pages = pages
        self._hasher = hasher
        self._background = background
        self._handle = handle
        self._prompt = asyncio.ensure_future(self._share_prompt())

    def end(self, own: Sequence[int], token_ids: Sequence[int]) -> None:
        """No step uses the pages any more: those that the index takes are nobody's now, the rest is free.

        own: the request's pages after those of handle.shared. token_ids: those whose KV decode wrote, the first at
        position handle.tokens.
        """
        self._background.start(self._end(own, token_ids))

    async def _share_prompt(self) -> Shared | None:
        try:
            shared = await self._ledger.share_prompt(self._handle)
        except SplitwiserError:
            # Granted without a look-up, or the store is gone: nothing of it is shared.
            return None
        self._pages.lend(shared.pages)
        return shared

    async def _end(self, own: Sequence[int], token_ids: Sequence[int]) -> None:
        shared, taken = await self._prompt, set[int]()
        try:
            if shared:
                taken.update(shared.pages)
                taken.update(await self._share_answer(shared, own, token_ids))
        finally:
            self._pages.free([page for page in own if page not in taken])

    async def _share_answer(self, shared: Shared, own: Sequence[int], token_ids: Sequence[int]) -> tuple[int, ...]:
        hashes = self._hasher.chain(shared.parent, (*shared.tail, *token_ids))
        first = self._handle.tokens // self._hasher.page_tokens - len(self._handle.shared)
        taken = await self._ledger.share_answer(self._handle, own[first : first + len(hashes)], hashes)
        self._pages.lend(taken)
        return taken
