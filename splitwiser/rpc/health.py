"""Owns what a service says of its health: whether it takes calls, and, apart from that, whether its process is alive.

Readiness is asked for as "" or by a service's name. Liveness depends on this process alone: neither on Redis, nor on
peers, nor on whether it drains, so that nobody restarts a process for the faults of another.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from splitwiser.rpc.listen import SERVER_OPTIONS, bind

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LIVENESS = "liveness"


class _Answers(health.aio.HealthServicer):  # type: ignore[misc]
    """Whose watches can be ended: of itself a watch lasts until its caller goes."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = asyncio.Event()

    def end_watches(self) -> None:
        """End them all, as well as those to come."""
        self._ended.set()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802
        watching = asyncio.create_task(super().Watch(request, context))
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({watching, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watching, ended):
                task.cancel()
            await asyncio.wait({watching, ended})
        if not watching.cancelled():
            watching.result()


class Health:
    """What grpc.health.v1 answers for one process. Nothing serves until set_serving says so."""

    def __init__(self, services: Sequence[str] = ()) -> None:
        self._names = ("", *services)
        self._servicer = _Answers()
        self._draining = False
        self.serving = False
        """What is answered for every service."""

    async def start(self) -> None:
        """Alive, and not serving yet."""
        await self.set_alive(True)
        await self.set_serving(False)

    async def set_serving(self, serving: bool) -> None:
        """Answer for every service with SERVING or NOT_SERVING. After drain it stays NOT_SERVING."""
        self.serving = serving and not self._draining
        for name in self._names:
            await self._servicer.set(name, SERVING if self.serving else NOT_SERVING)

    async def set_alive(self, alive: bool) -> None:
        """Whether this process can still do its work; if not, whoever runs it may restart it."""
        await self._servicer.set(LIVENESS, SERVING if alive else NOT_SERVING)

    async def drain(self) -> None:
        """Say from now on that nothing new is taken."""
        self._draining = True
        await self.set_serving(False)

    def end_watches(self) -> None:
        """End the streams of those who follow this health: they would hold the end of a server that has drained."""
        self._servicer.end_watches()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer on this server too."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)


@asynccontextmanager
async def health_listener(address: str, health_state: Health) -> AsyncIterator[str]:
    """Serve health, and nothing else, in plaintext at the address for the length of the block; yields the bound one.

    For probes that speak no TLS, such as a kubelet's. An empty address serves nothing.
    """
    if not address:
        yield ""
        return
    server = grpc.aio.server(options=SERVER_OPTIONS)
    health_state.add_to(server)
    reflection.enable_server_reflection([health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    bound = bind(server, address)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)
