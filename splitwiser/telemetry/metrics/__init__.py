"""Owns every metric: its name, its buckets, and the small methods by which services count. One class a service."""

from splitwiser.telemetry.metrics.decode import DecodeMetrics
from splitwiser.telemetry.metrics.door import serve_metrics
from splitwiser.telemetry.metrics.prefill import PrefillMetrics
from splitwiser.telemetry.metrics.router import RouterMetrics
from splitwiser.telemetry.metrics.store import StoreMetrics

__all__ = ["DecodeMetrics", "PrefillMetrics", "RouterMetrics", "StoreMetrics", "serve_metrics"]
