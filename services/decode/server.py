"""Owns the decode process: what it is made of."""

import asyncio

from services.decode.links import Links
from services.decode.servicer import DecodeServicer
from splitwiser.engine.factory import Load
from splitwiser.engine.factory import load as load_model
from splitwiser.kv.claims import Claims
from splitwiser.kv.prefix_sharing import Sharing
from splitwiser.kv.reports import Reports
from splitwiser.rpc.server import Service
from splitwiser.runtime.entry import Launch
from splitwiser.runtime.pace import PaceTeller
from splitwiser.runtime.telemetry import telemetry
from splitwiser.runtime.worker import attached, observe_steps, page_hasher, serve_worker
from splitwiser.telemetry.metrics.decode import DecodeMetrics
from splitwiser.v1 import decode_pb2, decode_pb2_grpc


async def serve(launch: Launch, stop: asyncio.Event, load: Load = load_model) -> None:
    """Serve DecodeService until stop is set, then drain."""
    metrics = DecodeMetrics()
    async with telemetry(launch, metrics) as reports, attached(launch, "decode", load) as worker:
        target_ms = launch.settings.prefill.itl_target_ms
        teller = PaceTeller(worker.store, target_ms) if target_ms else None
        observer = observe_steps(reports.timeline, metrics, worker.pages, *([teller.observe] if teller else []))
        engine = worker.loaded.decode_engine(worker.pages, observer)
        sharing = None
        if launch.settings.pool.prefix_cache:
            sharing = Sharing(worker.store, worker.pages, page_hasher(engine.layout, worker.store))
        claims = Claims(worker.store, worker.pages, sharing.abandon if sharing else None)
        metrics.watch_requests(lambda: engine.running_count, lambda: engine.waiting_count)
        metrics.watch_pages(worker.pages.counts)
        links = Links()
        service = Service(
            decode_pb2.DESCRIPTOR.services_by_name["DecodeService"],
            decode_pb2_grpc.add_DecodeServiceServicer_to_server,
            DecodeServicer(
                engine,
                claims,
                sharing,
                Reports(worker.registry, metrics.registry_failed),
                links,
                reports.tracing,
                metrics,
                launch.settings.decode.room_tokens,
            ),
            standing={"StreamSteps": links.end},
        )
        telling = [teller.run(lambda: engine.running_count)] if teller else []
        await serve_worker(launch, worker, engine, service, reports.metrics_port, stop, *telling)
