"""Owns the life of the HTTP server: its address, and an end that drops nothing in flight."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from splitwiser.config.address import TcpAddress, parse_address
from splitwiser.errors import StartupError

KEEP_ALIVE_S = 75
"""Longer than clients keep an idle connection, so that they, not the server, end it."""
BACKLOG = 2048


class HttpServer(uvicorn.Server):
    """uvicorn in a process that has signal handlers of its own. address: HOST:PORT."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self.address = address
        self.ended = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def drain(self, grace_s: float) -> None:
        """Accept nothing new, give requests in flight grace_s to end, then cancel them."""
        self.config.timeout_graceful_shutdown = grace_s  # type: ignore[assignment]
        self.should_exit = True
        await self.ended.wait()


@asynccontextmanager
async def serve_http(address: str, app: Any, *, max_header_bytes: int) -> AsyncIterator[HttpServer]:
    """Serve an ASGI application on HOST:PORT until the block ends, then drain. Raises StartupError."""
    listener = _bind(address)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=max_header_bytes,
    )
    server = HttpServer(config, f"{address.rpartition(':')[0]}:{listener.getsockname()[1]}")
    serving = asyncio.create_task(_serve(server, listener))
    try:
        yield server
    finally:
        await server.drain(0)
        await serving


async def _serve(server: HttpServer, listener: socket.socket) -> None:
    try:
        await server.serve([listener])
    finally:
        server.ended.set()


def _bind(address: str) -> socket.socket:
    parsed = parse_address(address)
    assert isinstance(parsed, TcpAddress), address
    try:
        family, _, _, _, target = socket.getaddrinfo(parsed.host, parsed.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(target[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartupError(
            f"cannot listen on {address}: {error.strerror or error}",
            help="stop what listens there, or set another router.http_listen",
            field="router.http_listen",
        ) from error
