"""Owns what workers tell the registry: that a request's KV was granted, and that it was claimed. Nobody waits for it.

The store is the fence; the registry only says where a request's KV is. On the way of a hand-off its answer would cost a
round trip at each end, and change nothing.
"""

from collections.abc import Awaitable, Callable

from splitwiser.errors import RegistryUnavailable, StaleHandle
from splitwiser.kv.background import Background
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.kv.registry import Registry


class Reports:
    """One worker's reports. on_failure is told of each that the registry did not take in time."""

    def __init__(self, registry: Registry, on_failure: Callable[[], None]) -> None:
        self._registry = registry
        self._on_failure = on_failure
        self._background = Background()

    def granted(self, handle: KvHandle) -> None:
        """A request's KV can be claimed."""
        self._background.start(self._told(self._registry.grant(handle.handle_id, handle)))

    def claimed(self, request_id: str, epoch: Epoch) -> None:
        """A request's KV was taken over. The report may overtake the one of its grant."""
        self._background.start(self._told(self._registry.claim(request_id, epoch)))

    async def _told(self, report: Awaitable[None]) -> None:
        try:
            await report
        except StaleHandle:
            # What the store has let through is right, whatever the registry knows of it.
            return
        except RegistryUnavailable:
            self._on_failure()
