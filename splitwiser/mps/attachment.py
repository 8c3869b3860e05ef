"""Owns the proof that processes run under MPS: the daemon's own list of its clients.

A CUDA process that misses its daemon runs on without MPS and says nothing; so nothing is taken for granted here.
"""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from splitwiser.errors import StartupError
from splitwiser.mps.control import Control

PATIENCE_S = 3.0
"""A daemon whose server has just started lists its first client a moment after that client computes."""
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Client:
    """A process as the daemon lists it. namespace: the inode of its PID namespace, 0 where the driver tells none."""

    pid: int
    server_pid: int
    device: str
    namespace: int
    command: str


def clients(control: Control) -> tuple[Client, ...]:
    """Who is attached now. Raises StartupError when no daemon answers."""
    return tuple(_parse(control.ask("ps")))


def check_attached(control: Control, pids: Collection[int], patience_s: float = PATIENCE_S) -> None:
    """Raise StartupError unless all these processes of this PID namespace are attached, or are so within patience_s."""
    deadline_s = time.monotonic() + patience_s
    while (missing := _missing(control, pids)) and time.monotonic() < deadline_s:
        time.sleep(POLL_S)
    if missing:
        raise StartupError(
            f"not attached to the MPS daemon of {control.pipe_dir}: process {', '.join(map(str, missing))}",
            help=f"the daemon must be this user's, and its folder the same on both sides; see {control.log_dir}",
            field="gpu.sharing",
        )


def _missing(control: Control, pids: Collection[int]) -> list[int]:
    here = own_namespace()
    return sorted(set(pids) - {client.pid for client in clients(control) if client.namespace in (0, here)})


def own_namespace() -> int:
    """The inode of this process's PID namespace."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _parse(table: str) -> Iterator[Client]:
    """Columns by their headings, as drivers differ in which there are; COMMAND, the last, may hold spaces."""
    header, *rows = [line.split() for line in table.splitlines() if line.strip()] or [[]]
    for row in rows:
        cells = dict(zip(header, row, strict=False))
        if cells.get("PID", "").isdigit():
            yield Client(
                int(cells["PID"]),
                _number(cells.get("SERVER")),
                cells.get("DEVICE", ""),
                _number(cells.get("NAMESPACE")),
                cells.get("COMMAND", ""),
            )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
