"""Owns the place of stacks that live only for a measurement: a folder that goes with them, and a port nobody has."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splitwiser.config.schema import Settings
from splitwiser.errors import SplitwiserError


def without_spares(settings: Settings) -> Settings:
    """Settings without spares, whose imports would take part in what is measured; those that say "on" keep theirs."""
    spares = "on" if settings.stack.spares == "on" else "off"
    return settings.model_copy(update={"stack": settings.stack.model_copy(update={"spares": spares})})


@contextmanager
def temporary_settings(settings: Settings) -> Iterator[Settings]:
    """The settings with a run folder of their own, one free loopback port, for gRPC, and no spares unless asked for.

    The folder is removed afterwards, but kept when the block fails and it holds services' logs: the error names them.
    """
    run_dir = Path(tempfile.mkdtemp(prefix="splitwiser-"))
    router = settings.router.model_copy(update={"listen": "127.0.0.1:0", "http_listen": ""})
    logs_matter = False
    try:
        yield without_spares(settings).model_copy(update={"run_dir": run_dir, "router": router})
    except SplitwiserError:
        logs_matter = any((run_dir / "logs").glob("*"))
        raise
    finally:
        if not logs_matter:
            shutil.rmtree(run_dir)
