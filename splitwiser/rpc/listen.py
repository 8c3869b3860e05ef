"""Owns how a gRPC server takes its address: with or without TLS, and never in plaintext beyond this machine unasked."""

from dataclasses import dataclass, field

import grpc

from splitwiser.config.address import TcpAddress, parse_address
from splitwiser.config.schema import TlsSettings
from splitwiser.errors import ConfigurationError, StartupError
from splitwiser.rpc.keepalive import PATIENT
from splitwiser.rpc.tls import server_credentials

PLAINTEXT = TlsSettings()
HARD_METADATA_BYTES = 256 * 1024
"""Beyond this the transport itself refuses; below, the guard does, with a reason."""
SERVER_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", HARD_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", HARD_METADATA_BYTES),
    *PATIENT,
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
]


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """How a server listens. health_address: where health alone is served as well, in plaintext; empty for nowhere.

    A server that drains says so, takes calls for another lame_duck_s, and then waits grace_s for those in flight.
    max_connection_age_s: after about so long a connection is told to go elsewhere, its calls going on; 0 for never.
    """

    tls: TlsSettings = field(default_factory=TlsSettings)
    allow_plaintext: bool = False
    health_address: str = ""
    lame_duck_s: float = 0.0
    grace_s: float = 5.0
    max_connection_age_s: float = 0.0

    @property
    def grpc_options(self) -> list[tuple[str, int]]:
        """The same for gRPC."""
        age_ms = int(self.max_connection_age_s * 1000)
        return [*SERVER_OPTIONS, *([("grpc.max_connection_age_ms", age_ms)] if age_ms else [])]


def bind(server: grpc.aio.Server, address: str, tls: TlsSettings = PLAINTEXT) -> str:
    """Bind HOST:PORT or unix:PATH and return it with the port that was taken. StartupError when it cannot be."""
    credentials = None if address.startswith("unix:") else server_credentials(tls)
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise StartupError(
            f"cannot listen on {address}: the port is in use or not allowed",
            help="stop what listens there, or set another address",
        ) from error
    return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"


def refuse_open_plaintext(address: str, options: ListenOptions) -> None:
    """Raise ConfigurationError if a plaintext listener there could be reached from another machine."""
    try:
        parsed = parse_address(address)
    except ValueError as error:
        raise ConfigurationError(f"{address!r}: {error}", field="listen", help="give HOST:PORT or unix:PATH") from None
    protected = options.tls.cert_file or options.allow_plaintext
    if isinstance(parsed, TcpAddress) and not (parsed.is_loopback or protected):
        raise ConfigurationError(
            f"{address} would serve plaintext beyond this machine",
            field="listen",
            help="listen on 127.0.0.1, set tls.cert_file and tls.key_file, or set router.allow_plaintext where the "
            "network itself is trusted",
        )
