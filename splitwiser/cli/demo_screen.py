"""Owns the demo's view of its requests: a progress bar and the text of those that stream; elsewhere a line for each."""

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from splitwiser.bench.records import RequestRecord
from splitwiser.v1 import inference_pb2

MOST_STREAMS = 8
_COLUMNS = (
    TextColumn("requests"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("{task.fields[tokens]} tokens"),
)


class DemoScreen(AbstractContextManager["DemoScreen"]):
    """A load observer. started_s: when the demo began, by time.monotonic."""

    def __init__(self, console: Console, started_s: float) -> None:
        self._console = console
        self._started_s = started_s
        self._progress = Progress(*_COLUMNS, console=console)
        self._task = self._progress.add_task("requests", total=None, tokens=0)
        self._tokens = 0
        self._streams: dict[int, str] = {}
        live = Live(console=console, get_renderable=self._picture, transient=True)
        self._live = live if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def on_planned(self, requests: int) -> None:
        self._progress.update(self._task, total=requests)

    def on_sent(self, index: int) -> None:
        self._streams[index] = ""

    def on_message(self, index: int, message: inference_pb2.GenerateResponse) -> None:
        if message.token_ids and not self._tokens:
            self._print(f"first token {time.monotonic() - self._started_s:.1f} s after the start")
        self._tokens += len(message.token_ids)
        self._streams[index] += message.text
        self._progress.update(self._task, tokens=self._tokens)

    def on_finished(self, record: RequestRecord) -> None:
        text = self._streams.pop(record.index)
        self._progress.advance(self._task)
        if not self._live or not record.completed:
            self._print(_line(record.index, text, self._console.width, record.outcome.status))

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, no_wrap=True, overflow="ellipsis")

    def _picture(self) -> Group:
        newest = list(self._streams.items())[-MOST_STREAMS:]
        lines = [Text(_line(index, text, self._console.width), no_wrap=True) for index, text in newest]
        return Group(*lines, self._progress)


def _line(index: int, text: str, width: int, status: str = "") -> str:
    """The end of the text, on one line."""
    head = f"{index:>3} {f'{status} ' if status else ''}"
    shown = "".join(c if c.isprintable() else "·" for c in text)
    return head + shown[-max(0, width - len(head)) :]
