"""Owns prefill's side of the prefix index: the pages of a prompt's beginning, pinned until its grant is claimed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from splitwiser.kv.handoff import Background
from splitwiser.kv.prefix_hash import PageHasher

MAX_HASHES = 12_000
"""A prompt of more full pages is not looked up: its hashes would not fit into one of the store's frames."""


class LookupClient(Protocol):
    """The part of the store's client that looks prompts up."""

    async def look_up(
        self, handle_id: str, parent: bytes, hashes: Sequence[bytes], tail: Sequence[int], limit: int
    ) -> tuple[int, ...]: ...
    async def forget(self, handle_id: str) -> None: ...


@dataclass(slots=True)
class Found:
    """pages hold the KV of the prompt's beginning, each in full. Whoever hands the request off sets claimed."""

    pages: tuple[int, ...] = ()
    claimed: bool = False


class Lookups:
    """Looks prompts up. limit: pages that prompts on their way to decode may have pinned together."""

    def __init__(self, ledger: LookupClient, hasher: PageHasher, limit: int) -> None:
        self._ledger = ledger
        self._hasher = hasher
        self._limit = limit
        self._background = Background()

    @asynccontextmanager
    async def found(self, handle_id: str, token_ids: Sequence[int], salt: str = "") -> AsyncIterator[Found]:
        """What is known of this prompt, for the length of the block or, once granted, of its grant."""
        parent = self._hasher.root(salt)
        hashes = self._hasher.chain(parent, token_ids)
        if len(hashes) > MAX_HASHES:
            yield Found()
            return
        tail = token_ids[len(hashes) * self._hasher.page_tokens :]
        looking_up = self._ledger.look_up(handle_id, parent, hashes, tail, self._limit)
        found = Found(await self._background.finish_or_undo(looking_up, lambda _: self._ledger.forget(handle_id)))
        try:
            yield found
        finally:
            if not found.claimed:
                # Of a withdrawn grant the store knows nothing any more, and does nothing.
                self._background.start(self._ledger.forget(handle_id))
