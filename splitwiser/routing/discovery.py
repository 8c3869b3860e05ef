"""Owns where workers are found: at a fixed address, or at every address that a name has at the time.

dns:HOST:PORT stands for one worker at each A or AAAA record of HOST, which is what a headless Service of Kubernetes
answers with. Names are asked through the system's resolver.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from splitwiser.config.address import TcpAddress, parse_address
from splitwiser.errors import ConfigurationError

PREFIX = "dns:"
GAP_S = 0.2
"""Shortest time between two questions, however often a worker is lost."""
NO_RECORD = (socket.EAI_NONAME, socket.EAI_NODATA)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one worker listens: HOST:PORT or unix:PATH. name: whom its certificate must name, if not that host."""

    address: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """A host name, and the port at each of its addresses."""

    host: str
    port: int


Resolve = Callable[[Name], Awaitable[frozenset[Endpoint]]]


def parse_target(text: str, field: str) -> Endpoint | Name:
    """Parse HOST:PORT, unix:PATH or dns:HOST:PORT. Raises ConfigurationError about the field."""
    try:
        address = parse_address(text.removeprefix(PREFIX))
    except ValueError as error:
        raise ConfigurationError(f"{text!r}: {error}", field=field, help=_HELP) from None
    if not text.startswith(PREFIX):
        return Endpoint(text)
    if not isinstance(address, TcpAddress):
        raise ConfigurationError(f"{text!r}: a socket's path is no name", field=field, help=_HELP)
    return Name(address.host, address.port)


_HELP = "give HOST:PORT, unix:PATH, or dns:HOST:PORT for all addresses of a name"


async def resolve(name: Name) -> frozenset[Endpoint]:
    """Every address of the name now; none when it has no record. OSError when nobody answers for it."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name.host, name.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in NO_RECORD:
            return frozenset()
        raise
    return frozenset(Endpoint(_address(family, target), name.host) for family, *_, target in found)


def _address(family: int, target: tuple[Any, ...]) -> str:
    host, port = target[:2]
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


class Discovery:
    """Asks for a name's addresses again and again."""

    def __init__(self, name: Name, every_s: float, resolve: Resolve = resolve) -> None:
        self._name = name
        self._every_s = every_s
        self._resolve = resolve
        self._wanted = asyncio.Event()
        self._answered = True

    def ask_now(self) -> None:
        """Do not wait for the next round: a worker was lost."""
        self._wanted.set()

    async def run(self, on_found: Callable[[frozenset[Endpoint]], None]) -> None:
        """Tell every answer, until cancelled. While nobody answers, what was found last stays true."""
        while True:
            try:
                on_found(await self._resolve(self._name))
                self._answered = True
            except OSError as error:
                self._complain(error)
            await asyncio.sleep(GAP_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), self._every_s)
            self._wanted.clear()

    def _complain(self, error: OSError) -> None:
        """Once for each time that answers cease."""
        if self._answered:
            _log.warning("%s cannot be resolved: %s", self._name.host, error.strerror or error)
        self._answered = False
