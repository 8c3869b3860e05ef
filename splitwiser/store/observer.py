"""Owns what the store reports of its work. telemetry.metrics.store.StoreMetrics is one."""

from typing import Protocol


class StoreObserver(Protocol):
    """Told of each event as it happens, on the event loop's thread."""

    def granted(self) -> None: ...

    def claimed(self) -> None: ...

    def refused(self, reason: str) -> None:
        """A call was refused, by its error's reason; or a connection.

        That one by FOREIGN_USER, OTHER_VERSION or TOO_MANY_CONNECTIONS.
        """

    def connected(self, role: str) -> None: ...

    def disconnected(self, role: str) -> None: ...

    def lease_expired(self) -> None: ...

    def malformed_frame(self) -> None: ...

    def segment(self, name: str, size_bytes: int) -> None: ...
