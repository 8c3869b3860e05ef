"""Owns the copying of bytes between two connections, for what stands before a server in tests."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


async def copy_both(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there_reader: asyncio.StreamReader,
    there_writer: asyncio.StreamWriter,
) -> None:
    """Copy both ways until both sides have ended; cancelled, cut both."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_copy(reader, there_writer))
        group.create_task(_copy(there_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


@asynccontextmanager
async def forwarder(socket_path: str, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port of the loopback that speaks TLS and passes it on, in plaintext, to a unix socket."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await copy_both(reader, writer, *await asyncio.open_unix_connection(socket_path))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
