"""Owns the router's workers: the channel to each, whether it serves, and the places it offers."""

import asyncio
import logging
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.config.schema import TlsSettings
from splitwiser.errors import SplitwiserError
from splitwiser.routing.decode_link import DecodeLink
from splitwiser.routing.discovery import Endpoint
from splitwiser.routing.places import Seats
from splitwiser.rpc.client import PLAINTEXT, open_channel, open_stream
from splitwiser.v1 import decode_pb2_grpc, prefill_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
RETRY_S = 0.2

_log = logging.getLogger(__name__)


class HealthWatch:
    """Follows a worker's health: one that drains or is gone does not serve."""

    def __init__(self, address: str, channel: grpc.aio.Channel, on_state: Callable[[bool], None]) -> None:
        self._address = address
        self._stub = health_pb2_grpc.HealthStub(channel)
        self._on_state = on_state
        self._asking: asyncio.Task[None] | None = None
        self._complaint = ""

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
        try:
            async with open_stream(self._stub.Watch, health_pb2.HealthCheckRequest()) as answers:
                async for answer in answers:
                    self._complaint = ""
                    self._on_state(answer.status == SERVING)
        except SplitwiserError as error:
            self._complain(error.cause)

    def _complain(self, cause: str) -> None:
        """Once for each time that the worker is lost."""
        if not self._complaint:
            _log.warning("worker %s does not answer: %s", self._address, cause)
        self._complaint = cause


class Worker(Seats):
    """A worker at an endpoint. on_change is told whenever it becomes available (True), or ceases to be."""

    def __init__(
        self, endpoint: Endpoint, capacity: int, on_change: Callable[[bool], None], tls: TlsSettings = PLAINTEXT
    ) -> None:
        super().__init__(capacity)
        self._channel = open_channel(endpoint.address, tls, endpoint.name)
        self._health = HealthWatch(endpoint.address, self._channel, self._set_serving)
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
            self._set_serving(False)
            self._health.ask_again()

    @property
    def _usable(self) -> bool:
        return self._serving

    async def _follow(self) -> None:
        await self._health.run()

    def _set_serving(self, serving: bool) -> None:
        self._serving = serving
        self._update()

    def _update(self) -> None:
        if self.available != self._usable:
            self.available = self._usable
            self._on_change(self.available)


class PrefillWorker(Worker):
    """Available while it serves."""

    def __init__(
        self, endpoint: Endpoint, capacity: int, on_change: Callable[[bool], None], tls: TlsSettings = PLAINTEXT
    ) -> None:
        super().__init__(endpoint, capacity, on_change, tls)
        self.stub = prefill_pb2_grpc.PrefillServiceStub(self._channel)


class DecodeWorker(Worker):
    """Available while it serves and the link that brings its tokens is up."""

    def __init__(
        self, endpoint: Endpoint, capacity: int, on_change: Callable[[bool], None], tls: TlsSettings = PLAINTEXT
    ) -> None:
        super().__init__(endpoint, capacity, on_change, tls)
        self.stub = decode_pb2_grpc.DecodeServiceStub(self._channel)
        self.link = DecodeLink(self.stub)
        self._linked = False

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._health.run())
            group.create_task(self.link.run(self._set_linked))

    @property
    def _usable(self) -> bool:
        return self._serving and self._linked

    def _set_linked(self, up: bool) -> None:
        self._linked = up
        self._update()
