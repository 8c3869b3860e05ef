"""Owns the progress bars of load runs and verifications, on stderr, so that stdout stays the report's. Imports rich."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from splitwiser.bench.load import Silent
from splitwiser.bench.records import RequestRecord


class LoadBar(Silent):
    """A load observer: how many requests ended, and how many are in flight."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("requests", total=total)
        self._in_flight = 0

    def on_planned(self, requests: int) -> None:
        self._progress.update(self._task, total=requests)

    def on_sent(self, index: int) -> None:
        self._change(1, 0)

    def on_finished(self, record: RequestRecord) -> None:
        self._change(-1, 1)

    def _change(self, in_flight: int, ended: int) -> None:
        self._in_flight += in_flight
        self._progress.update(self._task, advance=ended, description=f"{self._in_flight} in flight")


class VerifyBars:
    """A verification's progress: one bar for each stage of each model."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, model: str, stage: str, done: int, total: int) -> None:
        name = f"{model} {stage}"
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done)


@contextmanager
def load_bar(total: int | None = None) -> Iterator[LoadBar]:
    """A bar for a load run; total, if it is known before the run says."""
    with _bars() as progress:
        yield LoadBar(progress, total)


@contextmanager
def verify_bars() -> Iterator[VerifyBars]:
    """Bars for a verification."""
    with _bars() as progress:
        yield VerifyBars(progress)


def _bars() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))
