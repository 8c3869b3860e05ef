"""Owns the router's workers: the channel to each, whether it serves, and the places it offers."""

import asyncio
import contextlib
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


class HealthWatch:
    """Follows a worker's health: one that drains or is gone does not serve."""

    def __init__(self, channel: grpc.aio.Channel, on_state: Callable[[bool], None]) -> None:
        self._stub = health_pb2_grpc.HealthStub(channel)
        self._on_state = on_state
        self._asking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Report at every change whether the worker serves, until cancelled."""
        while True:
            self._asking = asyncio.create_task(self._ask())
            try:
                await asyncio.wait({self._asking})
            finally:
                self._asking.cancel()
            self._on_state(False)
            await asyncio.sleep(RETRY_S)

    def ask_again(self) -> None:
        """What was reported may be out of date: the worker does not serve until it says so again."""
        if self._asking:
            self._asking.cancel()

    async def _ask(self) -> None:
        with contextlib.suppress(SplitwiserError):
            async with open_stream(self._stub.Watch, health_pb2.HealthCheckRequest()) as answers:
                async for answer in answers:
                    self._on_state(answer.status == SERVING)


class Worker(Seats):
    """A worker at an address. on_change is told whenever it may have become available, or not."""

    def __init__(self, address: str, capacity: int, on_change: Callable[[], None]) -> None:
        super().__init__(capacity)
        self._channel = open_channel(address)
        self._health = HealthWatch(self._channel, self._set_serving)
        self._on_change = on_change
        self._serving = False

    async def watch(self) -> None:
        """Follow the worker until cancelled."""
        try:
            await self._follow()
        finally:
            await self._channel.close()

    def doubt(self) -> None:
        """A call was lost: the worker gets nothing more until it says again that it serves."""
        if self.available:
            self.available = False
            self._health.ask_again()

    async def _follow(self) -> None:
        await self._health.run()

    def _set_serving(self, serving: bool) -> None:
        self._serving = serving
        self._changed()

    def _changed(self) -> None:
        self.available = self._serving
        self._on_change()


class PrefillWorker(Worker):
    """Available while it serves."""

    def __init__(self, address: str, capacity: int, on_change: Callable[[], None]) -> None:
        super().__init__(address, capacity, on_change)
        self.stub = prefill_pb2_grpc.PrefillServiceStub(self._channel)


class DecodeWorker(Worker):
    """Available while it serves and the link that brings its tokens is up."""

    def __init__(self, address: str, capacity: int, on_change: Callable[[], None]) -> None:
        super().__init__(address, capacity, on_change)
        self.stub = decode_pb2_grpc.DecodeServiceStub(self._channel)
        self.link = DecodeLink(self.stub)
        self._linked = False

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._health.run())
            group.create_task(self.link.run(self._set_linked))

    def _set_linked(self, up: bool) -> None:
        self._linked = up
        self._changed()

    def _changed(self) -> None:
        self.available = self._serving and self._linked
        self._on_change()
