"""Owns the prefill process: what it is made of."""

import asyncio

from services.prefill.servicer import PrefillServicer
from splitwiser.engine.factory import Load
from splitwiser.engine.factory import load as load_model
from splitwiser.kv.grants import Grants
from splitwiser.kv.prefix_lookup import Lookups, PinLimits
from splitwiser.kv.reports import Reports
from splitwiser.rpc.server import Service
from splitwiser.runtime.entry import Launch
from splitwiser.runtime.pace import PaceFollower
from splitwiser.runtime.telemetry import telemetry
from splitwiser.runtime.worker import attached, host_tier, observe_steps, page_hasher, serve_worker
from splitwiser.telemetry.metrics.prefill import PrefillMetrics
from splitwiser.v1 import prefill_pb2, prefill_pb2_grpc


async def serve(launch: Launch, stop: asyncio.Event, load: Load = load_model) -> None:
    """Serve PrefillService until stop is set, then drain."""
    metrics, settings = PrefillMetrics(), launch.settings
    async with (
        telemetry(launch, metrics) as reports,
        attached(launch, "prefill", load) as worker,
        host_tier(worker, settings) as tier,
    ):
        paced = settings.prefill.itl_target_ms > 0
        follower = PaceFollower(worker.store, lambda: engine.gate, metrics.paused) if paced else None
        observer = observe_steps(reports.timeline, metrics, worker.pages, *([follower.observe] if follower else []))
        engine = worker.loaded.prefill_engine(worker.pages, observer)
        grants = Grants(worker.store, worker.pages, engine.layout.hash)
        worker.store.on_claimed = grants.on_claimed
        lookups = None
        if settings.pool.prefix_cache:
            limits = PinLimits(due=settings.decode_pages, pinned=settings.pinned_pages)
            lookups = Lookups(worker.store, page_hasher(engine.layout, worker.store), limits, tier)
        metrics.watch_requests(lambda: engine.running_count, lambda: engine.waiting_count)
        metrics.watch_pages(worker.pages.counts)
        service = Service(
            prefill_pb2.DESCRIPTOR.services_by_name["PrefillService"],
            prefill_pb2_grpc.add_PrefillServiceServicer_to_server,
            PrefillServicer(
                engine,
                grants,
                lookups,
                Reports(worker.registry, metrics.registry_failed),
                reports.tracing,
                metrics,
                settings.decode.room_tokens,
            ),
        )
        background = [tier.run(metrics.saved)] if tier else []
        background += [follower.run(lambda: engine.running_count + engine.waiting_count)] if follower else []
        await serve_worker(launch, worker, engine, service, reports.metrics_port, stop, *background)
