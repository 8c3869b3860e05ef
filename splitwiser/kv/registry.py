"""Owns the contract of the registry: where each request's KV is, for the router and the workers to look up.

The store is the fence: a registry that forgets, or is late, costs a request nothing. An entry holds ids, no tokens, and
lives as long as its lease is renewed.
"""

from collections.abc import Collection
from typing import Protocol

from splitwiser.kv.handle import Epoch, KvHandle


class Registry(Protocol):
    """Entries go from open to granted to claimed; a request that is prefilled again is granted under another epoch.

    Every method is atomic by itself, and raises RegistryUnavailable when the answer does not come in time.
    """

    async def open(self, request_id: str) -> None:
        """Enter a new request. Raises DuplicateRequest while one of that id is in flight."""

    async def grant(self, request_id: str, handle: KvHandle) -> None:
        """Enter where the KV is. Does nothing for a request that is not open any more: its router has gone.

        A claim of the same epoch that came first stays, unless an earlier epoch was claimed before.
        """

    async def claim(self, request_id: str, epoch: Epoch) -> None:
        """Mark the KV as taken over. Raises StaleHandle if it was before, or if another epoch is granted now.

        An entry that is missing, or lost its grant, does not stand in the way.
        """

    async def renew(self, request_ids: Collection[str]) -> None:
        """Start the leases of these requests anew."""

    async def forget(self, request_id: str) -> None:
        """Remove the entry."""

    async def ping(self) -> None:
        """Return if the registry answers."""
