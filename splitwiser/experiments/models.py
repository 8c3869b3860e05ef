"""Owns the models of experiments: random weights of a named shape, made once and kept."""

import asyncio
import fcntl
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from splitwiser.errors import ConfigurationError, StartupError
from splitwiser.experiments.catalogue import SHAPES, shape_of
from splitwiser.experiments.definition import Definition, merged
from splitwiser.stack.process import Process

KEPT = Path("runs/models")
POLL_S = 0.2
MODULE = "splitwiser.engine.transformers.random_model"


async def with_model(definition: Definition, folder: Path, say: Callable[[str], None]) -> Definition:
    """The definition with its shape's folder as engine.model. Raises StartupError when it cannot be made."""
    settings = definition.settings_of(definition.reference)
    if not definition.model or settings.engine.kind == "sim":
        return definition
    place = await _made(definition.model, settings.engine.dtype, folder, say)
    changed = merged(definition.settings, {"engine": {"model": place}})
    return definition.model_copy(update={"settings": changed})


async def _made(model: str, dtype: str, folder: Path, say: Callable[[str], None]) -> str:
    shape = shape_of(folder, model)
    if shape is None:
        if is_elsewhere(model):
            return model
        cause = f"is {model!r}, which {folder / SHAPES} does not have"
        raise ConfigurationError(cause, field="model", help="name a shape of that file, a folder or an id")
    place = kept(f"{model}-{dtype}")
    async with _one_at_a_time(place):
        if not is_elsewhere(str(place)):
            say(f"making random weights of the shape {model}")
            fields = {name: value for name, value in shape.items() if name != "architecture"}
            await _make(place, shape["architecture"], dtype, fields)
    return str(place)


def kept(name: str) -> Path:
    """Where a shape's weights are."""
    KEPT.mkdir(parents=True, exist_ok=True)
    return KEPT.absolute() / name


def is_elsewhere(model: str) -> bool:
    """Whether it is a folder, or looks like an id of the hub."""
    return Path(model).is_dir() or (model.count("/") == 1 and not model.startswith(("/", ".")))


@asynccontextmanager
async def _one_at_a_time(place: Path) -> AsyncIterator[None]:
    """Experiments that start together on several GPUs want the same weights: one makes them, the others wait."""
    with place.with_suffix(".lock").open("w") as file:
        while not _locked(file.fileno()):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _make(place: Path, architecture: str, dtype: str, fields: dict[str, object]) -> None:
    """In a process of its own: torch does not stay in this one's memory, and a Ctrl-C ends it."""
    log = place.with_suffix(".log")
    command = (sys.executable, "-P", "-m", MODULE, str(place), architecture, dtype, json.dumps(fields))
    process = await Process.start(command, log)
    if await process.finish() != 0:
        raise StartupError(
            f"cannot make {place.name}{process.log_tail()}", help=f"the whole log is {log}", field="model"
        )
