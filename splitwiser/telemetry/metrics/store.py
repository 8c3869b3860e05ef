"""Owns the store's metrics. The store itself counts; these names are what the scrape sees."""

from splitwiser.telemetry.metrics.base import ServiceMetrics


class StoreMetrics(ServiceMetrics):
    """Of one store: its ledger, its segments and its connections."""

    def __init__(self) -> None:
        super().__init__()
        self._grants = self._counter("kv_grants", "Grants made")
        self._claims = self._counter("kv_claims", "Grants claimed")
        self._refusals = self._counter("store_refusals", "Calls refused", ["reason"])
        self._connections = self._gauge("store_connections", "Workers connected", ["role"])
        self._expired = self._counter("store_expired_leases", "Workers cut off because they stopped beating")
        self._malformed = self._counter(
            "store_malformed_frames", "Connections closed over a frame that broke the rules"
        )
        self._segments = self._gauge("store_segment_bytes", "Bytes of shared memory, by segment", ["segment"])

    def granted(self) -> None:
        """Pages were granted."""
        self._grants.inc()

    def claimed(self) -> None:
        """A grant was claimed."""
        self._claims.inc()

    def refused(self, reason: str) -> None:
        """A call was refused, by the stable reason of its error."""
        self._refusals.labels(reason).inc()

    def connected(self, role: str) -> None:
        """A worker attached."""
        self._connections.labels(role).inc()

    def disconnected(self, role: str) -> None:
        """An attached worker left or was cut off."""
        self._connections.labels(role).dec()

    def lease_expired(self) -> None:
        """A worker stopped beating."""
        self._expired.inc()

    def malformed_frame(self) -> None:
        """A connection was closed over a broken frame."""
        self._malformed.inc()

    def segment(self, name: str, size_bytes: int) -> None:
        """A segment was published."""
        self._segments.labels(name).set(size_bytes)
