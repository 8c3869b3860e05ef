"""Owns the router process: what it is made of."""

import asyncio

from services.router.servicer import InferenceServicer
from splitwiser.config.schema import Settings
from splitwiser.kv.redis_registry import RedisRegistry
from splitwiser.routing.floor import Floor
from splitwiser.routing.intake import Intake, Limits
from splitwiser.routing.leases import RequestLeases
from splitwiser.routing.pipeline import Pipeline
from splitwiser.rpc.server import Service
from splitwiser.rpc.server import serve as serve_grpc
from splitwiser.runtime.entry import Launch
from splitwiser.runtime.lifetime import serve_until
from splitwiser.runtime.telemetry import telemetry
from splitwiser.telemetry.metrics.router import RouterMetrics
from splitwiser.telemetry.tracing import Tracing
from splitwiser.text.model_info import load_model
from splitwiser.v1 import inference_pb2, inference_pb2_grpc

TOKENIZE = "/splitwiser.v1.InferenceService/Tokenize"
TOKENIZE_LIMIT = 16


async def serve(launch: Launch, stop: asyncio.Event) -> None:
    """Serve InferenceService until stop is set, then drain."""
    metrics, settings = RouterMetrics(), launch.settings
    async with telemetry(launch, metrics) as reports:
        registry = RedisRegistry(settings.redis)
        leases = RequestLeases(registry, settings.redis.lease_s, metrics.registry_failed)
        floor = Floor(settings.router, launch.prefill, launch.decode)
        metrics.watch_requests(lambda: floor.prefill.in_flight_count, lambda: floor.prefill.waiting_count)
        service = Service(
            inference_pb2.DESCRIPTOR.services_by_name["InferenceService"],
            inference_pb2_grpc.add_InferenceServiceServicer_to_server,
            await asyncio.to_thread(_servicer, settings, floor, leases, reports.tracing, metrics),
        )
        async with serve_grpc(
            launch.listen or settings.router.listen,
            [service],
            limits={TOKENIZE: TOKENIZE_LIMIT},
            max_metadata_bytes=settings.router.max_metadata_bytes,
            options=launch.listen_options,
        ) as server:
            launch.announce(server.address, reports.metrics_port)
            await serve_until(stop, server, floor.watch(server.set_serving), leases.renew())
        await registry.close()


def _servicer(
    settings: Settings, floor: Floor, leases: RequestLeases, tracing: Tracing, metrics: RouterMetrics
) -> InferenceServicer:
    model, tokenizer = load_model(settings)
    limits = Limits(
        default_max_tokens=settings.router.default_max_tokens,
        max_stop_strings=settings.router.max_stop_strings,
        max_stop_chars=settings.router.max_stop_chars,
        max_prompt_chars=settings.router.max_prompt_chars,
        max_request_tokens=settings.pool.page_tokens * min(settings.prefill_pages, settings.decode_pages),
    )
    intake = Intake(model, tokenizer, limits)
    pipeline = Pipeline(floor.prefill, floor.decode, tracing, metrics, settings.router)
    return InferenceServicer(model, tokenizer, intake, pipeline, leases, tracing, metrics)
