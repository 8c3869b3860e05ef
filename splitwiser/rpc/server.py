"""Owns the life of a gRPC server: address, health, reflection, the guard, and an end that drops nothing in flight."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import descriptor, message, message_factory
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from splitwiser.config.address import TcpAddress, parse_address
from splitwiser.errors import ConfigurationError, StartupError
from splitwiser.rpc.admission import Admission
from splitwiser.rpc.guard import Guard

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
HARD_METADATA_BYTES = 256 * 1024
"""Beyond this the transport itself refuses; below, the guard does, with a reason."""
SERVER_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", HARD_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", HARD_METADATA_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 1_000),
    ("grpc.http2.ping_timeout_ms", 700),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
]


@dataclass(frozen=True)
class Service:
    """One servicer and how grpc registers it."""

    descriptor: descriptor.ServiceDescriptor
    register: Callable[[Any, Any], None]
    servicer: object


@dataclass
class Server:
    """A running server. health says per service whether it serves; drain turns all of it off before the stop."""

    grpc_server: grpc.aio.Server
    health: health.aio.HealthServicer
    names: list[str]
    address: str
    grace_s: float = 5.0
    _draining: bool = field(default=False, init=False)

    async def set_serving(self, serving: bool) -> None:
        """Answer health checks of every service with SERVING or NOT_SERVING. After drain it stays NOT_SERVING."""
        for name in ["", *self.names]:
            await self.health.set(name, SERVING if serving and not self._draining else NOT_SERVING)

    async def drain(self) -> None:
        """Take nothing new, give calls in flight grace_s to end, then cancel them. A second call does nothing."""
        if self._draining:
            return
        await self.set_serving(False)
        self._draining = True
        await self.grpc_server.stop(self.grace_s)


@asynccontextmanager
async def serve(
    address: str,
    services: list[Service],
    *,
    limits: Mapping[str, int] | None = None,
    max_metadata_bytes: int = 8192,
    allow_plaintext: bool = False,
) -> AsyncIterator[Server]:
    """Serve on HOST:PORT or unix:PATH until the block ends, then drain. Health starts as NOT_SERVING.

    limits: most calls in flight by full method name. Raises StartupError when the address cannot be bound.
    """
    _refuse_open_plaintext(address, allow_plaintext)
    guard = Guard(_request_kinds(services), Admission(limits or {}), max_metadata_bytes)
    grpc_server = grpc.aio.server(interceptors=[guard], options=SERVER_OPTIONS)
    names = [service.descriptor.full_name for service in services]
    for service in services:
        service.register(service.servicer, grpc_server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, grpc_server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], grpc_server)
    server = Server(grpc_server, health_servicer, names, _bind(grpc_server, address))
    await server.set_serving(False)
    await grpc_server.start()
    try:
        yield server
    finally:
        await server.drain()


def _bind(grpc_server: grpc.aio.Server, address: str) -> str:
    try:
        port = grpc_server.add_insecure_port(address)
    except RuntimeError as error:
        raise StartupError(
            f"cannot listen on {address}: the port is in use or not allowed",
            help="stop what listens there, or set another address",
        ) from error
    return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"


def _refuse_open_plaintext(address: str, allowed: bool) -> None:
    parsed = parse_address(address)
    if isinstance(parsed, TcpAddress) and not (parsed.is_loopback or allowed):
        raise ConfigurationError(
            f"{address} would serve plaintext beyond this machine",
            field="listen",
            help="listen on 127.0.0.1, or set router.allow_plaintext where the network itself is trusted",
        )


def _request_kinds(services: list[Service]) -> dict[str, type[message.Message]]:
    return {
        f"/{service.descriptor.full_name}/{method.name}": message_factory.GetMessageClass(method.input_type)
        for service in services
        for method in service.descriptor.methods
    }
