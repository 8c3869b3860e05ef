"""Owns a service's telemetry from its first span to its last: timeline, traces, and the metrics' port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from splitwiser.runtime.entry import Launch
from splitwiser.telemetry.metrics.base import ServiceMetrics
from splitwiser.telemetry.metrics.door import serve_metrics
from splitwiser.telemetry.timeline import TimelineWriter, timeline_path
from splitwiser.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a service reports through."""

    timeline: TimelineWriter
    tracing: Tracing
    metrics_port: int


@asynccontextmanager
async def telemetry(launch: Launch, metrics: ServiceMetrics) -> AsyncIterator[Telemetry]:
    """Report for the length of the block; what is pending at its end still reaches the timeline."""
    settings = launch.settings
    port, close_door = serve_metrics(metrics.registry, settings.telemetry.metrics_port, settings.telemetry.metrics_host)
    timeline = TimelineWriter(timeline_path(settings.run_dir, launch.instance))
    tracing = Tracing(launch.service, launch.instance, settings.telemetry, timeline)
    try:
        yield Telemetry(timeline, tracing, port)
    finally:
        await asyncio.to_thread(tracing.shutdown)
        await asyncio.to_thread(timeline.close)
        close_door()
