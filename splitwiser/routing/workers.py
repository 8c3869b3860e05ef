"""Owns the router's workers: the channel to each, whether it serves, and the places it offers."""

import asyncio
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.errors import SplitwiserError
from splitwiser.routing.decode_link import DecodeLink
from splitwiser.routing.places import Seats
from splitwiser.rpc.client import open_channel, open_stream
from splitwiser.v1 import decode_pb2_grpc, prefill_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
RETRY_S = 0.2


class PrefillWorker(Seats):
    """A prefill worker at an address. Available while its health check says that it serves."""

    def __init__(self, address: str, capacity: int) -> None:
        super().__init__(capacity)
        self.address = address
        self._channel = open_channel(address)
        self.stub = prefill_pb2_grpc.PrefillServiceStub(self._channel)

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Follow the worker's health until cancelled."""

        def set_available(serving: bool) -> None:
            self.available = serving
            on_change()

        try:
            await watch_health(self._channel, set_available)
        finally:
            await self._channel.close()


class DecodeWorker(Seats):
    """A decode worker at an address. Available while it serves and the link that brings its tokens is up."""

    def __init__(self, address: str, capacity: int) -> None:
        super().__init__(capacity)
        self.address = address
        self._channel = open_channel(address)
        self.stub = decode_pb2_grpc.DecodeServiceStub(self._channel)
        self.link = DecodeLink(self.stub)

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Follow the worker's health and hold its link until cancelled."""
        healthy = linked = False

        def set_available() -> None:
            self.available = healthy and linked
            on_change()

        def set_healthy(serving: bool) -> None:
            nonlocal healthy
            healthy = serving
            set_available()

        def set_linked(up: bool) -> None:
            nonlocal linked
            linked = up
            set_available()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(watch_health(self._channel, set_healthy))
                group.create_task(self.link.run(set_linked))
        finally:
            await self._channel.close()


async def watch_health(channel: grpc.aio.Channel, on_state: Callable[[bool], None]) -> None:
    """Report at every change whether the worker serves, until cancelled. One that drains or is gone does not serve."""
    stub = health_pb2_grpc.HealthStub(channel)
    while True:
        try:
            async with open_stream(stub.Watch, health_pb2.HealthCheckRequest()) as answers:
                async for answer in answers:
                    on_state(answer.status == SERVING)
        except SplitwiserError:
            pass
        on_state(False)
        await asyncio.sleep(RETRY_S)
