"""Owns which model a stack of the command line runs: a named one, fetched first, or a small random one, made now.

The work is done by processes of their own: a Ctrl-C ends them, and torch does not stay in the command's memory.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from splitwiser.config.schema import Settings
from splitwiser.errors import StartupError
from splitwiser.stack.process import Process
from splitwiser.stack.run_dir import RunDir


async def with_model(settings: Settings, say: Callable[[str], None]) -> Settings:
    """The settings with a model that is on this machine. Raises StartupError when it cannot be got."""
    model = settings.engine.model
    if settings.engine.kind == "sim" or _is_folder(model):
        return settings
    run_dir = RunDir(settings.run_dir.expanduser().absolute())
    run_dir.make()
    if model:
        say(f"fetching {model}, unless it is here already")
        await _prepare("fetch", model, run_dir.log("model"))
        return settings
    folder = run_dir.root / "tiny-model"
    if not folder.exists():
        say("making a small random model")
        await _make_tiny(folder, run_dir.log("model"))
    engine = settings.engine.model_copy(update={"model": str(folder)})
    return settings.model_copy(update={"engine": engine})


def _is_folder(model: str) -> bool:
    return bool(model) and Path(model).expanduser().is_dir()


async def _make_tiny(folder: Path, log: Path) -> None:
    """Make it under another name first, so that a folder of the right name is a whole model."""
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    await _prepare("make", str(draft), log)
    draft.rename(folder)


async def _prepare(what: str, model: str, log: Path) -> None:
    command = (sys.executable, "-P", "-m", "splitwiser.cli.prepare_model", what, model)
    process = await Process.start(command, log)
    if await process.finish() != 0:
        raise StartupError(f"cannot {what} {model}{process.log_tail()}", help=f"the whole log is {log}")
