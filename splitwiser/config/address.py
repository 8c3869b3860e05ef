"""Owns the form of a gRPC address: HOST:PORT or unix:PATH."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

# sockaddr_un holds 108 bytes, the last of them a zero.
MAX_SOCKET_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """host is a name or an IP address, an IPv6 one without its brackets."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it. A name other than localhost may be anything."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: Path


def parse_address(text: str) -> TcpAddress | UnixAddress:
    """Parse HOST:PORT, [IPV6]:PORT or unix:PATH. ValueError says what is wrong."""
    if text.startswith("unix:"):
        return UnixAddress(_socket_path(text.removeprefix("unix:").removeprefix("//")))
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError("not an address: a host, a colon and a port are needed")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("an IPv6 host needs brackets")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"not a port: {port!r}")
    return TcpAddress(host.strip("[]"), int(port))


def _socket_path(text: str) -> Path:
    if not text:
        raise ValueError("the socket's path is empty")
    if len(text.encode()) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(f"the socket's path has {len(text.encode())} bytes, the system takes {MAX_SOCKET_PATH_BYTES}")
    return Path(text)
