"""Owns the life of a gRPC server: address, health, reflection, the guard, and an end that drops nothing in flight."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import descriptor, message, message_factory
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from splitwiser.rpc.admission import Admission
from splitwiser.rpc.guard import Guard
from splitwiser.rpc.health import Health, health_listener
from splitwiser.rpc.listen import ListenOptions, bind, refuse_open_plaintext
from splitwiser.rpc.requests import Requests

DEFAULT_OPTIONS = ListenOptions()


@dataclass(frozen=True)
class Service:
    """One servicer and how grpc registers it."""

    descriptor: descriptor.ServiceDescriptor
    register: Callable[[Any, Any], None]
    servicer: object
    standing: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    """Methods whose calls last as long as their caller stays connected, and what ends them all, now and to come."""

    def path(self, method: str) -> str:
        """A method's full name, such as /splitwiser.v1.InferenceService/Generate."""
        return f"/{self.descriptor.full_name}/{method}"


@dataclass
class Server:
    """A running server. health says whether it serves; drain turns that off before the stop."""

    grpc_server: grpc.aio.Server
    health: Health
    address: str
    requests: Requests
    lame_duck_s: float
    grace_s: float
    standing: Sequence[Callable[[], None]] = ()
    """What ends the calls that would last until their callers go."""
    companions: list[Callable[[float], Awaitable[None]]] = field(default_factory=list)
    """What drains at the same time, such as a server of another protocol; each is told grace_s."""
    _drained: bool = field(default=False, init=False)

    async def set_serving(self, serving: bool) -> None:
        """Whether calls are taken now."""
        await self.health.set_serving(serving)

    async def drain(self) -> None:
        """Say that nothing new is taken, take it for another lame_duck_s from those who have not heard, give calls in
        flight grace_s to end, then cancel them. Standing calls end with the last request. Again does nothing."""
        if self._drained:
            return
        self._drained = True
        await self.health.drain()
        await asyncio.sleep(self.lame_duck_s)
        stopping = asyncio.create_task(self.grpc_server.stop(self.grace_s))
        standing = asyncio.create_task(self._end_standing())
        try:
            await asyncio.gather(stopping, *(drain(self.grace_s) for drain in self.companions))
        finally:
            standing.cancel()

    async def _end_standing(self) -> None:
        """A link or a watch that nothing more can come by must not hold the end for the whole of grace_s."""
        await self.requests.gone()
        for end in (*self.standing, self.health.end_watches):
            end()


@asynccontextmanager
async def serve(
    address: str,
    services: list[Service],
    *,
    limits: Mapping[str, int] | None = None,
    max_metadata_bytes: int = 8192,
    options: ListenOptions = DEFAULT_OPTIONS,
) -> AsyncIterator[Server]:
    """Serve on HOST:PORT or unix:PATH until the block ends, then drain. Health starts as NOT_SERVING.

    limits: most calls in flight by full method name. Raises StartupError when the address cannot be bound.
    """
    refuse_open_plaintext(address, options)
    standing = {service.path(method): end for service in services for method, end in service.standing.items()}
    requests = Requests(standing)
    guard = Guard(_request_kinds(services), Admission(limits or {}), requests, max_metadata_bytes)
    grpc_server = grpc.aio.server(interceptors=[guard], options=options.grpc_options)
    names = [service.descriptor.full_name for service in services]
    for service in services:
        service.register(service.servicer, grpc_server)
    state = Health(names)
    state.add_to(grpc_server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], grpc_server)
    await state.start()
    async with health_listener(options.health_address, state):
        bound = bind(grpc_server, address, options.tls)
        ends = tuple(standing.values())
        server = Server(grpc_server, state, bound, requests, options.lame_duck_s, options.grace_s, ends)
        await grpc_server.start()
        try:
            yield server
        finally:
            await server.drain()


def _request_kinds(services: list[Service]) -> dict[str, type[message.Message]]:
    return {
        service.path(method.name): message_factory.GetMessageClass(method.input_type)
        for service in services
        for method in service.descriptor.methods
    }
