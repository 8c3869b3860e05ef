"""Owns a stand-in for a Kubernetes Service in tests: each new connection goes to the next backend that is ready.

As there, readiness is polled, so it is known late, and connections that stand already are left alone.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

from splitwiser.stack.health import is_serving
from tests.support.forwarder import copy_both
from tests.support.waiting import PATIENCE_S, until

POLL_S = 0.2


class Balancer:
    """Forwards bytes. Addresses are HOST:PORT; probed are those at which the backends tell their health."""

    def __init__(self, backends: Sequence[str], probed: Sequence[str]) -> None:
        self._backends = backends
        self._probed = probed
        self._ready: list[str] = []
        self._turn = count()
        self._copying: set[asyncio.Task[None]] = set()
        self.address = ""

    async def all_ready(self, *_: object) -> None:
        """Return when every backend takes connections."""
        await until(lambda: len(self._ready) == len(self._backends))

    async def poll(self) -> None:
        """Follow the backends' readiness until cancelled."""
        while True:
            answers = await asyncio.gather(*(is_serving(address, timeout_s=PATIENCE_S) for address in self._probed))
            self._ready = [backend for backend, ready in zip(self._backends, answers, strict=True) if ready]
            await asyncio.sleep(POLL_S)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        if not self._ready:
            writer.close()
            return
        host, _, port = self._ready[next(self._turn) % len(self._ready)].rpartition(":")
        there = await asyncio.open_connection(host, int(port))
        copying = asyncio.create_task(copy_both(reader, writer, *there))
        self._copying.add(copying)
        await asyncio.wait({copying})
        self._copying.discard(copying)

    async def end(self) -> None:
        """Cut all connections."""
        for copying in self._copying:
            copying.cancel()
        if self._copying:
            await asyncio.wait(self._copying)


@asynccontextmanager
async def balancer(*backends: str, probed: Sequence[str] = ()) -> AsyncIterator[Balancer]:
    """A balancer before these backends for the length of the block. probed: other addresses for their health."""
    service = Balancer(backends, probed or backends)
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
