"""Owns the router process: what it is made of."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from services.router.desk import Desk
from services.router.servicer import InferenceServicer
from splitwiser.config.schema import Settings
from splitwiser.errors import RegistryUnavailable
from splitwiser.kv.redis_registry import RedisRegistry
from splitwiser.routing.floor import Floor
from splitwiser.routing.intake import Intake, Limits
from splitwiser.routing.leases import RequestLeases
from splitwiser.routing.pipeline import Pipeline
from splitwiser.routing.reception import Reception
from splitwiser.rpc.certificate import check_certificate
from splitwiser.rpc.listen import ListenOptions
from splitwiser.rpc.server import Server, Service
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

_log = logging.getLogger(__name__)


async def serve(launch: Launch, stop: asyncio.Event) -> None:
    """Serve InferenceService, and HTTP where it is asked for, until stop is set; then drain."""
    metrics, settings = RouterMetrics(), launch.settings
    check_certificate(settings.tls)
    async with telemetry(launch, metrics) as reports:
        registry = RedisRegistry(settings.redis)
        await _look_for(registry)
        leases = RequestLeases(registry, settings.redis.lease_s, metrics.registry_failed)
        floor = Floor(settings, launch.prefill, launch.decode)
        metrics.watch_requests(lambda: floor.prefill.in_flight_count, lambda: floor.prefill.waiting_count)
        desk = await asyncio.to_thread(_desk, settings, floor, leases, reports.tracing, metrics)
        service = Service(
            inference_pb2.DESCRIPTOR.services_by_name["InferenceService"],
            inference_pb2_grpc.add_InferenceServiceServicer_to_server,
            InferenceServicer(desk.model, desk.intake, desk.reception),
        )
        async with (
            serve_grpc(
                launch.listen or settings.router.listen,
                [service],
                limits={TOKENIZE: TOKENIZE_LIMIT},
                max_metadata_bytes=settings.router.max_metadata_bytes,
                options=_listen_options(launch),
            ) as server,
            _http(settings, desk, metrics, server) as http_address,
        ):
            launch.announce(server.address, reports.metrics_port, http_address)
            await serve_until(stop, server, floor.watch(server.set_serving), leases.renew())
        await registry.close()


async def _look_for(registry: RedisRegistry) -> None:
    """A wrong password is better told at the start than by the first request; a Redis that comes later is no error."""
    try:
        await registry.ping()
    except RegistryUnavailable as error:
        _log.warning("%s; until it does, new requests are refused", error.cause)


@asynccontextmanager
async def _http(settings: Settings, desk: Desk, metrics: RouterMetrics, server: Server) -> AsyncIterator[str]:
    """The HTTP door, which drains with the gRPC server, and its address; empty where none is asked for."""
    if not settings.router.http_listen:
        yield ""
        return
    # Imported late: a router without HTTP runs without the extra.
    from services.router.http_door import HttpDoor
    from splitwiser.openai.server import serve_http
    from splitwiser.text.chat_template import load_chat_template

    template = await asyncio.to_thread(load_chat_template, settings)
    router, serving = settings.router, lambda: server.health.serving
    app = HttpDoor(router, desk, template, metrics, serving).app()
    async with serve_http(
        router.http_listen, app, max_header_bytes=router.max_metadata_bytes, tls=settings.tls, serving=serving
    ) as http:
        server.companions.append(http.drain)
        yield http.address


def _listen_options(launch: Launch) -> ListenOptions:
    """Clients learn later than workers' routers do that somebody leaves."""
    settings = launch.settings
    return replace(
        launch.listen_options,
        lame_duck_s=settings.drain.lame_duck_s,
        max_connection_age_s=settings.router.max_connection_age_s,
    )


def _desk(settings: Settings, floor: Floor, leases: RequestLeases, tracing: Tracing, metrics: RouterMetrics) -> Desk:
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
    return Desk(model, tokenizer, intake, Reception(model, tokenizer, intake, pipeline, leases, tracing, metrics))
