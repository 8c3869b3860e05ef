"""Owns prefill's side of the prefix index: the pages of a prompt's beginning, pinned until its grant is claimed.

Where the host has more of it than the pool, that comes back before the prompt does: to its engine all is there already.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from secrets import token_bytes
from typing import Protocol

from splitwiser.kv.background import Background
from splitwiser.kv.host_index import Beginning, Copies
from splitwiser.kv.prefix_hash import HASH_BYTES, PageHasher

MAX_HASHES = 12_000
"""Of a prompt of more full pages none are shared: its hashes would not fit into one of the store's frames."""


@dataclass(frozen=True, slots=True)
class PinLimits:
    """Pages: due, those of a decode worker; pinned, how many of them waiting requests may have pinned together; and
    need, those that decode lets this request in with.
    """

    due: int
    pinned: int
    need: int = 0


class LookupClient(Protocol):
    """The part of the store's client that looks prompts up."""

    async def look_up(
        self, handle_id: str, parent: bytes, hashes: Sequence[bytes], tail: Sequence[int], limits: PinLimits
    ) -> Beginning: ...
    async def loaded(self, handle_id: str) -> tuple[int, ...]: ...
    async def forget(self, handle_id: str) -> None: ...


class Loader(Protocol):
    """Brings pages back from the host: host_tier.HostTier is one."""

    async def load(self, copies: Copies) -> None: ...


@dataclass(slots=True)
class Found:
    """pages hold the KV of the prompt's beginning, each in full. Whoever hands the request off sets claimed.

    loaded: how many of them came back from the host for it, from load_start_ns to load_end_ns on the wall clock.
    """

    pages: tuple[int, ...] = ()
    loaded: int = 0
    load_start_ns: int = 0
    load_end_ns: int = 0
    claimed: bool = False


class Lookups:
    """Looks prompts up. limits: of the decode workers; loader: None where the host keeps no pages."""

    def __init__(
        self, ledger: LookupClient, hasher: PageHasher, limits: PinLimits, loader: Loader | None = None
    ) -> None:
        self._ledger = ledger
        self._hasher = hasher
        self._limits = limits
        self._loader = loader
        self._background = Background()

    @asynccontextmanager
    async def found(
        self, handle_id: str, token_ids: Sequence[int], *, need: int, salt: str = ""
    ) -> AsyncIterator[Found]:
        """What is known of this prompt, for the length of the block or, once granted, of its grant.

        Waits while prompts on their way to decode have pinned so much that decode could not have need pages as well.
        """
        parent = self._hasher.root(salt)
        hashes = self._hasher.chain(parent, token_ids)
        tail = token_ids[len(hashes) * self._hasher.page_tokens :]
        if len(hashes) > MAX_HASHES:
            # Under a parent that nobody else has, so that what follows is never found either.
            parent, hashes, tail = token_bytes(HASH_BYTES), (), ()
        looking_up = self._ledger.look_up(handle_id, parent, hashes, tail, replace(self._limits, need=need))
        finding = self._find(handle_id, looking_up)
        found = await self._background.finish_or_undo(finding, lambda _: self._ledger.forget(handle_id))
        try:
            yield found
        finally:
            if not found.claimed:
                # Of a withdrawn grant the store knows nothing any more, and does nothing.
                self._background.start(self._ledger.forget(handle_id))

    async def _find(self, handle_id: str, looking_up: Awaitable[Beginning]) -> Found:
        beginning = await looking_up
        if not beginning.loads.pages:
            return Found(beginning.pages)
        if self._loader is None:
            # Host pages of other workers' settings: as if nothing had been looked up.
            await self._ledger.forget(handle_id)
            return Found()
        start_ns = time.time_ns()
        try:
            await self._loader.load(beginning.loads)
        except BaseException:
            # Nothing is copied any more, so the pages may be given away; the prompt's caller hears of the error.
            await self._ledger.forget(handle_id)
            raise
        pages = await self._ledger.loaded(handle_id)
        return Found(pages, len(beginning.loads.pages), start_ns, time.time_ns())
