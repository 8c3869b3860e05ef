"""Owns the checks of the machine before a stack starts: ports, sockets, Redis and packages. A check changes nothing."""

import asyncio
import errno
import importlib.util
import os
import socket
from pathlib import Path

from splitwiser.config.address import MAX_SOCKET_PATH_BYTES, UnixAddress, parse_address
from splitwiser.config.check import check_settings
from splitwiser.config.problem import hide_password
from splitwiser.config.schema import Settings
from splitwiser.engine.factory import check_installed
from splitwiser.errors import ConfigurationError, RegistryUnavailable, StartupError
from splitwiser.rpc.certificate import check_certificate
from splitwiser.stack.redis_server import find_redis_server
from splitwiser.stack.run_dir import RunDir


async def check_environment(settings: Settings, *, own_redis: bool, makes_model: bool = False) -> None:
    """Raise ConfigurationError or StartupError for the first thing that would keep the stack from running.

    makes_model: where none is named, a start makes one first.
    """
    check_settings(settings)
    check_certificate(settings.tls)
    _check_metrics_port(settings)
    _check_sockets(settings)
    _check_listen(settings.router.listen, "router.listen")
    _check_http(settings)
    check_installed(settings)
    # Imported late: the sim engine should not wait for tokenizers and hub.
    if settings.engine.kind != "sim" and (settings.engine.model or not makes_model):
        from splitwiser.stack.model_check import check_model

        await asyncio.to_thread(check_model, settings)
    if settings.engine.device == "cuda":
        from splitwiser.stack.gpu_check import check_gpu

        await asyncio.to_thread(check_gpu, settings)
    if own_redis:
        find_redis_server()
    else:
        await _check_redis(settings)


def _check_metrics_port(settings: Settings) -> None:
    port = settings.telemetry.metrics_port
    if port:
        raise ConfigurationError(
            f"{port} cannot serve all services of one machine",
            help="leave it 0: each service takes a free port and writes it to its card",
            field="telemetry.metrics_port",
        )


def _check_sockets(settings: Settings) -> None:
    run_dir = RunDir(settings.run_dir)
    last = max(settings.prefill.workers, settings.decode.workers) - 1
    longest = max(run_dir.socket(f"prefill-{last}"), run_dir.router_health, key=lambda path: len(path.name))
    check_socket_path(longest, "run_dir")
    check_socket_path(run_dir.root / settings.store.socket, "store.socket")


def check_socket_path(path: Path, field: str) -> None:
    """Raise StartupError unless a unix socket can be made at this path."""
    size = len(os.fsencode(path))
    if size > MAX_SOCKET_PATH_BYTES:
        raise StartupError(
            f"the socket {path} has {size} bytes, the system takes {MAX_SOCKET_PATH_BYTES}",
            help="name a shorter --run-dir, such as one in /tmp",
            field=field,
        )
    folder = path.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        cause = f"no rights to make a socket in {folder}" if _exists(folder) else f"the folder {folder} is not there"
        raise StartupError(cause, help="correct its owner and mode, or name another folder", field=field)


def _exists(folder: Path) -> bool:
    """Whether it is there, or hidden behind a folder without rights."""
    try:
        return folder.exists()
    except PermissionError:
        return True


def _check_http(settings: Settings) -> None:
    if not settings.router.http_listen:
        return
    missing = [name for name in ("jinja2", "starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise StartupError(
            f"HTTP needs {' and '.join(missing)}",
            help="pip install 'splitwiser[http]', or leave router.http_listen empty",
            field="router.http_listen",
        )
    _check_listen(settings.router.http_listen, "router.http_listen")


def _check_listen(address: str, field: str) -> None:
    parsed = parse_address(address)
    if isinstance(parsed, UnixAddress):
        check_socket_path(parsed.path.absolute(), field)
        if _is_listened_to(parsed.path):
            raise _cannot_listen(address, os.strerror(errno.EADDRINUSE), field)
        return
    try:
        family, kind, *_, target = socket.getaddrinfo(parsed.host, parsed.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        raise _cannot_listen(address, error.strerror or str(error), field) from error


def _cannot_listen(address: str, cause: str, field: str) -> StartupError:
    flag = "--http" if field == "router.http_listen" else "--listen"
    return StartupError(
        f"cannot listen on {address}: {cause}", help=f"stop what listens there, or give another {flag}", field=field
    )


def _is_listened_to(path: Path) -> bool:
    """Whether somebody accepts connections there; a file that a killed server left refuses them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


async def _check_redis(settings: Settings) -> None:
    # A stack with a Redis of its own does not pay for this import.
    from splitwiser.kv.redis_registry import RedisRegistry

    registry = RedisRegistry(settings.redis)
    try:
        await registry.ping()
    except RegistryUnavailable as error:
        raise StartupError(
            f"no Redis answers at {hide_password(settings.redis.url)}: {error.cause}",
            help="start it, correct redis.url, or leave redis.url empty for a server of the stack's own",
            field="redis.url",
        ) from error
    finally:
        await registry.close()
