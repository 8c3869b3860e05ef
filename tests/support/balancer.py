"""Owns a stand-in for a Kubernetes Service in tests: each new connection goes to the next backend that is ready.

As there, readiness is polled, so it is known late, and connections that stand already are left alone.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

from splitwiser.stack.health import is_serving

POLL_S = 0.2


class Balancer:
    """Forwards bytes. Addresses are HOST:PORT."""

    def __init__(self, backends: Sequence[str]) -> None:
        self._backends = backends
        self._ready: list[str] = []
        self._turn = count()
        self._copying: set[asyncio.Task[None]] = set()
        self.address = ""

    @property
    def ready(self) -> int:
        """How many backends take connections."""
        return len(self._ready)

    async def poll(self) -> None:
        """Follow the backends' readiness until cancelled."""
        while True:
            answers = await asyncio.gather(*(is_serving(backend) for backend in self._backends))
            self._ready = [backend for backend, ready in zip(self._backends, answers, strict=True) if ready]
            await asyncio.sleep(POLL_S)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        if not self._ready:
            writer.close()
            return
        host, _, port = self._ready[next(self._turn) % len(self._ready)].rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        ways = {asyncio.create_task(_copy(reader, there_writer)), asyncio.create_task(_copy(there_reader, writer))}
        self._copying |= ways
        await asyncio.wait(ways)
        self._copying -= ways

    async def end(self) -> None:
        """Cut all connections."""
        for way in self._copying:
            way.cancel()
        if self._copying:
            await asyncio.wait(self._copying)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def balancer(*backends: str) -> AsyncIterator[Balancer]:
    """A balancer before these backends for the length of the block."""
    service = Balancer(backends)
    server = await asyncio.start_server(service.accept, "127.0.0.1", 0)
    service.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    polling = asyncio.create_task(service.poll())
    try:
        yield service
    finally:
        polling.cancel()
        server.close()
        await service.end()
        await asyncio.wait({polling})
