"""Owns the place of stacks that live only for a measurement: a folder that goes with them, and a free port."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splitwiser.config.schema import Settings


@contextmanager
def temporary_settings(settings: Settings) -> Iterator[Settings]:
    """The settings with a run folder of their own and a free loopback port for the router.

    The folder is removed afterwards, but kept when the block raises: it holds the services' logs.
    """
    run_dir = Path(tempfile.mkdtemp(prefix="splitwiser-"))
    router = settings.router.model_copy(update={"listen": f"127.0.0.1:{_free_port()}"})
    yield settings.model_copy(update={"run_dir": run_dir, "router": router})
    shutil.rmtree(run_dir)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
