"""Owns what a submitted experiment leaves here: its log, and the result that is the log's last word."""

import json
from pathlib import Path

from splitwiser.cluster.pod_state import Phase
from splitwiser.cluster.submit import Ended
from splitwiser.errors import ConfigurationError, StartupError

LOG = "experiment.log"
RESULT = "result.json"


def prepare(folder: Path) -> None:
    """Make the folder while there is nothing to lose. Raises ConfigurationError when it cannot be, or has a result."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOG).touch()
    except OSError as error:
        raise ConfigurationError(
            f"cannot be written: {error.strerror}", field=str(folder), help="name a folder with --out that is yours"
        ) from error
    if (folder / RESULT).exists():
        raise ConfigurationError("holds a result already", field=str(folder), help="give another --out")


def collect(ended: Ended, folder: Path) -> None:
    """Write the log, and the result as it was printed, to a prepared folder.

    Raises StartupError for an experiment that failed, or printed no result.
    """
    log = folder / LOG
    _write(log, ended.log)
    if ended.state.phase is Phase.FAILED:
        raise StartupError(
            f"the experiment failed in the cluster: {ended.state.cause}", help=ended.state.help or f"read {log}"
        )
    line = _result_line(ended.log)
    if not line:
        raise StartupError("the experiment ended without a result", help=f"read {log}")
    _write(folder / RESULT, line + "\n")


def _result_line(log: str) -> str:
    """The last line that is a JSON object with a schema; empty without one."""
    for line in reversed(log.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "schema" in found:
            return line
    return ""


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)
