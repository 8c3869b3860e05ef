"""Owns the router's requests in Redis: each is opened once, renewed while it lives, and forgotten at its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from splitwiser.errors import DuplicateRequest, RegistryUnavailable
from splitwiser.kv.background import Background
from splitwiser.kv.registry import Registry


class RequestLeases:
    """Request ids in flight. on_failure is told when Redis did not answer for a request that went on all the same."""

    def __init__(self, registry: Registry, lease_s: float, on_failure: Callable[[], None]) -> None:
        self._registry = registry
        self._renew_s = lease_s / 4
        self._on_failure = on_failure
        self._held: set[str] = set()
        self._background = Background()

    @asynccontextmanager
    async def hold(self, request_id: str) -> AsyncIterator[None]:
        """Hold the id for the length of the block. Raises DuplicateRequest, or RegistryUnavailable at its beginning."""
        if request_id in self._held:
            raise DuplicateRequest(
                f"request {request_id} is in flight", field="request_id", help="use a new id, or wait for its end"
            )
        self._held.add(request_id)
        try:
            # A cancelled call may have reached Redis all the same.
            await self._background.finish_or_undo(self._registry.open(request_id), lambda _: self._forget(request_id))
            try:
                yield
            finally:
                await asyncio.shield(self._forget(request_id))
        finally:
            self._held.discard(request_id)

    async def renew(self) -> None:
        """Renew all leases again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._renew_s)
            if self._held:
                try:
                    await self._registry.renew(tuple(self._held))
                except RegistryUnavailable:
                    self._on_failure()

    async def _forget(self, request_id: str) -> None:
        # Should Redis be away, the lease lets the key go.
        try:
            await self._registry.forget(request_id)
        except RegistryUnavailable:
            self._on_failure()
