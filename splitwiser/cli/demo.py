"""Owns `splitwiser demo`: a local stack, a short conversation load on it, and the pictures of what happened."""

import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from splitwiser.bench.generated import generate
from splitwiser.bench.load import LoadRun
from splitwiser.bench.records import RequestRecord
from splitwiser.bench.report import summarise
from splitwiser.bench.requests import MadeUpRequests
from splitwiser.bench.table import report_table, requests_table
from splitwiser.bench.temporary import without_spares
from splitwiser.bench.trace_csv import read_trace
from splitwiser.bench.workload import Workload
from splitwiser.cli.board import Board
from splitwiser.cli.demo_screen import DemoScreen
from splitwiser.cli.model import with_model
from splitwiser.config.schema import Settings
from splitwiser.rpc.client import Client
from splitwiser.stack.local import LocalStack
from splitwiser.telemetry.page import write_page
from splitwiser.telemetry.perfetto import write_perfetto
from splitwiser.telemetry.requests import request_rows
from splitwiser.telemetry.timeline import read_timeline

PLAIN_WIDTH = 110


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """arrivals_s: the time over which the trace's arrivals are spread. length: factor on the trace's token counts."""

    requests: int = 24
    arrivals_s: float = 10.0
    length: float = 0.2
    trace: Path | None = None
    seed: int = 0


async def demo(settings: Settings, options: DemoOptions) -> None:
    """Start everything, send the load, stop everything, and say where the pictures are.

    Raises typer.Exit(1) at the end when a request failed.
    """
    # A file has no width of its own, and the tables do not fit the usual one.
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    started_s = time.monotonic()
    workload = plan(options)
    async with AsyncExitStack() as running:
        with Board(console) as board:
            settings = await with_model(without_spares(settings), board.say)
            stack = await running.enter_async_context(LocalStack(settings, on_change=board.show))
        with DemoScreen(console, started_s) as screen:
            records = await _send(stack, workload, screen)
    console.print(requests_table(records))
    console.print(report_table(summarise(workload, records, target=settings.engine.model or "sim")))
    _draw(stack.settings.run_dir, console)
    if not all(record.completed for record in records):
        raise typer.Exit(1)


async def _send(stack: LocalStack, workload: Workload, screen: DemoScreen) -> Sequence[RequestRecord]:
    async with Client(stack.address, stack.settings.tls) as client:
        model = await client.get_model()
        requests = MadeUpRequests(model, run=f"demo-{uuid.uuid4().hex[:6]}", as_text=True)
        # A word may be several tokens, so half of the model's length leaves room.
        return await LoadRun(client.generate, requests.build, screen).run(workload.clipped(model.max_tokens // 2))


def plan(options: DemoOptions) -> Workload:
    """A conversation trace's arrivals and lengths, scaled to a small machine's time."""
    whole = read_trace(options.trace) if options.trace else generate(options.requests, seed=options.seed)
    workload = whole.first(options.requests).scaled_lengths(options.length)
    return workload.faster(workload.duration_s / options.arrivals_s) if workload.duration_s else workload


def _draw(run_dir: Path, console: Console) -> None:
    """Everything has stopped by now, so the timeline is complete."""
    records = list(read_timeline(run_dir))
    trace, page = run_dir / "demo.perfetto-trace", run_dir / "demo.html"
    write_perfetto(records, trace)
    write_page(records, request_rows(records), page, title="Splitwiser demo")
    for line in (f"timeline of both phases: {page}", f"for https://ui.perfetto.dev: {trace}"):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
