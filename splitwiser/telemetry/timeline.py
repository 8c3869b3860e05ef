"""Owns the local timeline: one file of JSON lines for each service instance, which the tools read.

Writing never waits: records go to a bounded buffer and a thread brings them to the file, at least twice a second. What
does not fit is dropped and counted. A full file is set aside once, so an instance keeps at most two files.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from io import FileIO
from os import SEEK_END
from pathlib import Path

from splitwiser.engine.base import StepSpan
from splitwiser.errors import StartupError
from splitwiser.telemetry.records import Record, StepRecord, from_line, to_line

_log = logging.getLogger(__name__)
_ENDING = ".jsonl"
_OLDER = ".older"
_LINES_PER_WRITE = 1024


class TimelineWriter:
    """Appends to one timeline file. Methods may be called from any thread."""

    def __init__(
        self, path: Path, *, flush_s: float = 0.3, max_bytes: int = 64 << 20, max_pending: int = 1 << 16
    ) -> None:
        self.path = path
        self.dropped = 0
        self._flush_s = flush_s
        self._max_bytes = max_bytes
        self._pending: deque[Record] = deque()
        self._max_pending = max_pending
        self._file_lock = threading.Lock()
        self._closing = threading.Event()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_at_line_start(path)
        except OSError as error:
            raise StartupError(f"cannot write {path}: {error.strerror}", help="give run_dir write access") from error
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)
        self._thread.start()

    def append(self, records: Iterable[Record]) -> None:
        """Take records to be written soon."""
        for record in records:
            if len(self._pending) >= self._max_pending:
                self.dropped += 1
            else:
                self._pending.append(record)

    def step(
        self,
        phase: str,
        span: StepSpan,
        batch_size: int,
        requests: Sequence[str] = (),
        *,
        pages_in_use: int | None = None,
    ) -> None:
        """Record an engine step; fits StepObserver. Ids are not kept: the requests' spans say where they took part."""
        self.append((StepRecord(phase, span.start_ns, span.end_ns, batch_size, span.tokens, pages_in_use),))

    def flush(self) -> None:
        """Bring everything taken so far to the file."""
        with self._file_lock:
            while self._pending:
                count = min(len(self._pending), _LINES_PER_WRITE)
                self._write("".join(to_line(self._pending.popleft()) for _ in range(count)).encode())

    def close(self) -> None:
        """Flush and close the file. Later records are lost."""
        if not self._closing.is_set():
            self._closing.set()
            self._thread.join()
            self.flush()
            self._file.close()

    def _run(self) -> None:
        while not self._closing.wait(self._flush_s):
            self.flush()

    def _write(self, data: bytes) -> None:
        try:
            if self._file.tell() + len(data) > self._max_bytes:
                self._set_aside()
            self._file.write(data)
        except OSError as error:
            # A full disk must not stop serving; what was lost stays countable.
            if not self.dropped:
                _log.warning("timeline records are being lost: %s", error)
            self.dropped += data.count(b"\n")

    def _set_aside(self) -> None:
        self.path.replace(self.path.with_name(self.path.name + _OLDER))
        full, self._file = self._file, _open_at_line_start(self.path)
        full.close()


def timeline_path(run_dir: Path, instance: str) -> Path:
    """Where an instance writes its timeline."""
    return run_dir / "timeline" / f"{instance}{_ENDING}"


def read_timeline(run_dir: Path, *, since_ns: int = 0) -> list[Record]:
    """Every readable record of all instances that ended at since_ns (wall clock) or later, ordered by start.

    Cut lines are skipped. A run_dir without a timeline has no records.
    """
    records = (record for path in _files(run_dir) for record in _read(path))
    return sorted((record for record in records if record.end_ns >= since_ns), key=lambda record: record.start_ns)


def _files(run_dir: Path) -> Iterator[Path]:
    for ending in (_ENDING + _OLDER, _ENDING):
        yield from sorted((run_dir / "timeline").glob(f"*{ending}"))


def _read(path: Path) -> Iterator[Record]:
    instance = path.name.partition(_ENDING)[0]
    with path.open("rb") as lines:
        for line in lines:
            if record := from_line(line, instance):
                yield record


def _open_at_line_start(path: Path) -> FileIO:
    """Open for appending. A killed predecessor may have left half a line, which must not swallow the next record."""
    file = path.open("a+b", buffering=0)
    if file.seek(0, SEEK_END):
        file.seek(-1, SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file
