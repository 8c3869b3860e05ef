"""Owns the one MPS daemon of sides that are up together: one server serves a GPU best, whoever its clients are."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from splitwiser.config.schema import Settings
from splitwiser.mps.daemon import mps_daemon
from splitwiser.mps.gpu import read_gpu


@asynccontextmanager
async def one_daemon(sides: Mapping[str, Settings]) -> AsyncIterator[Mapping[str, Settings]]:
    """The settings by side, where several want a daemon of their own led to one that lives as long as the block.

    Raises StartupError when it does not start.
    """
    wanted = [name for name, settings in sides.items() if _wants_its_own(settings)]
    if len(wanted) < 2:
        yield sides
        return
    with TemporaryDirectory(prefix="splitwiser-mps-") as folder:
        async with mps_daemon("", Path(folder), gpu_uuid=read_gpu().uuid) as control:
            led = {name: _led_to(control.pipe_dir, sides[name]) for name in wanted}
            yield {**sides, **led}


def _wants_its_own(settings: Settings) -> bool:
    return settings.engine.device == "cuda" and settings.gpu.sharing == "mps" and not settings.gpu.mps_pipe_dir


def _led_to(pipe_dir: Path, settings: Settings) -> Settings:
    return settings.model_copy(update={"gpu": settings.gpu.model_copy(update={"mps_pipe_dir": str(pipe_dir)})})
