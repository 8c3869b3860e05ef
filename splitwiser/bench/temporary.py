"""Owns the place of stacks that live only for a measurement: a folder that goes with them, and a port nobody has."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splitwiser.config.schema import Settings


@contextmanager
def temporary_settings(settings: Settings) -> Iterator[Settings]:
    """The settings with a run folder of their own, and any free loopback port for the router.

    The folder is removed afterwards, but kept when the block raises: it holds the services' logs.
    """
    run_dir = Path(tempfile.mkdtemp(prefix="splitwiser-"))
    router = settings.router.model_copy(update={"listen": "127.0.0.1:0"})
    yield settings.model_copy(update={"run_dir": run_dir, "router": router})
    shutil.rmtree(run_dir)
