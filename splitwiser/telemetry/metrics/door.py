"""Owns the HTTP port that Prometheus scrapes."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, start_http_server

from splitwiser.errors import StartupError


def serve_metrics(registry: CollectorRegistry, port: int, host: str = "127.0.0.1") -> tuple[int, Callable[[], None]]:
    """Serve the registry at http://host:port/metrics on a thread of its own.

    Port 0 takes a free one. Returns the port and a function that closes it. Raises StartupError when it is taken.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise StartupError(
            f"cannot serve metrics on {host}:{port}: {error.strerror}",
            field="telemetry.metrics_port",
            help="give a free port, or 0 to take any, and a telemetry.metrics_host of this machine",
        ) from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, close
