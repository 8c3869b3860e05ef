"""Owns how experiments show themselves: bars on stderr while they run, tables on stdout at the end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from splitwiser.errors import SplitwiserError
from splitwiser.experiments import run
from splitwiser.experiments.catalogue import default_folder, names, read_definition
from splitwiser.experiments.commands import RunOptions, run_experiment
from splitwiser.experiments.compare import compare, differences
from splitwiser.experiments.goodput import add_goodput
from splitwiser.experiments.report.page import FILE as REPORT
from splitwiser.experiments.report.page import write_report
from splitwiser.experiments.result import FILE, Result, read_result
from splitwiser.experiments.table import interval, point_words, tables

PLAIN_WIDTH = 130


def show_list(folder: Path | None) -> None:
    """A row an experiment."""
    place = folder or default_folder()
    table = Table("experiment", "title", "asks", box=box.SIMPLE)
    for name in names(place):
        definition = read_definition(place, name)
        table.add_row(name, definition.title, definition.question)
    _console().print(table)


async def show_run(options: RunOptions, *, json: bool) -> None:
    """Run it and print its tables. Interrupted, say where the rest is."""
    with _bar() as progress:
        try:
            result, folder = await run_experiment(options, progress)
        except BaseException as error:
            if not isinstance(error, SplitwiserError):
                print("stopped; what was measured is kept, --resume goes on with it", file=sys.stderr)
            raise
    if json:
        print((folder / FILE).read_text().strip())
        return
    _print(result)
    _say(f"result: {folder / FILE}", f"report: {folder / REPORT}")


def show_comparison(a: Path, b: Path) -> None:
    """One table a metric is too many here: one for all."""
    results = _read(a), _read(b)
    table = Table("metric", "side", "point", "A", "B", "B / A", box=box.SIMPLE)
    for row in compare(*results):
        mark = {True: " (noise)", False: "", None: " (no noise band)"}[row.noise]
        words = "-" if isnan(row.ratio) else f"x{row.ratio:.2f}{mark}"
        table.add_row(row.metric, row.side, point_words(row.point), interval(row.a), interval(row.b), words)
    _console().print(table)
    for line in differences(*results):
        _say(f"differs: {line}")


def show_report(place: Path) -> None:
    """Write the page again, then the tables."""
    result = _read(place)
    page = write_report(result, place) if place.is_dir() else write_report(result, place.parent, f"{place.stem}.html")
    _print(result)
    _say(f"report: {page}")


def _read(place: Path) -> Result:
    """With its goodput, which a run that was ended at its end has not worked out."""
    result = read_result(place)
    if result.goodput is None:
        add_goodput(result)
    return result


def _print(result: Result) -> None:
    console = _console()
    for table in tables(result):
        console.print(table)
    if not result.complete:
        _say(f"not complete: {len(result.samples)} measurements so far; --resume goes on")


def _console() -> Console:
    # A file has no width of its own, and the tables do not fit the usual one.
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def _say(*lines: str) -> None:
    for line in lines:
        print(line)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _bar() -> Iterator[run.Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    if not console.is_terminal:
        # A pod's log, for one: a line a step, which `experiment submit` reads.
        yield run.Progress(_tell, lambda done, total, what: _tell(f"{done}/{total} {what}"))
        return
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("measurements", total=None)

        def step(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=what)

        yield run.Progress(lambda line: progress.update(task, description=line), step)
