"""Owns the life of the HTTP server: its address, and an end that drops nothing in flight."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from splitwiser.config.address import TcpAddress, parse_address
from splitwiser.config.schema import TlsSettings
from splitwiser.errors import StartupError
from splitwiser.openai.exchange import bounded
from splitwiser.routing.tasks import cancel_and_wait
from splitwiser.rpc.tls import follow_files

KEEP_ALIVE_S = 75
"""Longer than clients keep an idle connection, so that they, not the server, end it."""
BACKLOG = 2048
TOLD_BYTES = 64 << 10
"""Headers that are too long by no more are read all the same, so that their sender is told what is wrong with them."""


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

    def renew_certificate(self, tls: TlsSettings) -> None:
        """Go by the files of now in the handshakes that follow."""
        if self.config.ssl:
            renewed = _context(tls)
            # Into the listener's own context a CA can be put, but not taken out of it again.
            self.config.ssl.sni_callback = lambda connection, *_: setattr(connection, "context", renewed)

    async def drain(self, grace_s: float) -> None:
        """Accept nothing new, give requests in flight grace_s to end, then cancel them."""
        self.config.timeout_graceful_shutdown = grace_s  # type: ignore[assignment]
        self.should_exit = True
        await self.ended.wait()


@asynccontextmanager
async def serve_http(
    address: str, app: Any, *, max_header_bytes: int, tls: TlsSettings, serving: Callable[[], bool]
) -> AsyncIterator[HttpServer]:
    """Serve an ASGI application on HOST:PORT until the block ends, then drain. Raises StartupError.

    With a certificate it speaks TLS alone, and with a CA clients must show one of theirs.
    """
    listener = _bind(address)
    config = uvicorn.Config(
        _parting(bounded(app, max_header_bytes), serving),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=max_header_bytes + TOLD_BYTES,
        ssl_context_factory=(lambda *_: _context(tls)) if tls.cert_file else None,
    )
    server = HttpServer(config, f"{address.rpartition(':')[0]}:{listener.getsockname()[1]}")
    running = asyncio.create_task(_serve(server, listener))
    renewing = asyncio.create_task(follow_files(tls, lambda: server.renew_certificate(tls)))
    try:
        yield server
    finally:
        await server.drain(0)
        await running
        await cancel_and_wait(renewing)


def _context(tls: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.ca_file:
        context.load_verify_locations(tls.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session is not verified again, so a client of a CA that is gone would stay in for ever. TLS 1.2
        # resumes sessions whatever is said here.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def _parting(app: Any, serving: Callable[[], bool]) -> Any:
    """The application, whose answers end their connection while it does not serve: the next one goes elsewhere."""

    async def parting(scope: Any, receive: Any, send: Any) -> None:
        async def send_last(message: Any) -> None:
            if message["type"] == "http.response.start" and not serving():
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await app(scope, receive, send_last)

    return parting


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
