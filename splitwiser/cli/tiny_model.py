"""Owns the model that is used when nobody names one: small, random, made on the spot, so that it needs no network."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from splitwiser.config.schema import Settings
from splitwiser.errors import StartupError
from splitwiser.stack.process import Process, child_environment
from splitwiser.stack.run_dir import RunDir

# A process of its own: the torch that makes the weights should not stay in the command's memory.
_MAKE = "import sys, pathlib, splitwiser.engine.transformers.tiny as t; t.make_tiny(pathlib.Path(sys.argv[1]))"


async def with_model(settings: Settings, say: Callable[[str], None]) -> Settings:
    """The settings with a model in them: the given one, or the small random one, made now if it is not there yet."""
    if settings.engine.model or settings.engine.kind == "sim":
        return settings
    run_dir = RunDir(settings.run_dir.expanduser().absolute())
    run_dir.make()
    folder = run_dir.root / "tiny-model"
    if not folder.exists():
        say("making a small random model")
        await _make(folder, run_dir.log("tiny-model"))
    engine = settings.engine.model_copy(update={"model": str(folder)})
    return settings.model_copy(update={"engine": engine})


async def _make(folder: Path, log: Path) -> None:
    """Make it under another name first, so that a folder of the right name is a whole model."""
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    process = await Process.start((sys.executable, "-c", _MAKE, str(draft)), log, child_environment())
    try:
        code = await process.wait()
    finally:
        process.kill()
    if code != 0:
        raise StartupError(f"cannot make the small model\n{process.log_tail()}", help=f"the whole log is {log}")
    draft.rename(folder)
