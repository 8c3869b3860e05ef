"""Owns how the measuring commands show their reports: a table, or one JSON object on the last line."""

import json as json_module
from dataclasses import replace

import typer
from rich.console import Console
from rich.table import Table

from splitwiser.bench.commands import (
    HandoffOptions,
    LoadOptions,
    PrefixOptions,
    RestartOptions,
    RouterBenchOptions,
    VerifyOptions,
    bench_handoff,
    bench_load,
    bench_prefix,
    bench_restart,
    bench_router,
    verify,
)
from splitwiser.bench.progress import load_bar, verify_bars
from splitwiser.bench.table import report_table, requests_table
from splitwiser.cli.address import expecting_router
from splitwiser.cli.model import with_model


async def show_load(options: LoadOptions, *, per_request: bool, json: bool) -> None:
    """Run the load behind a progress bar and print its report."""
    with load_bar(options.requests) as bar:
        async with expecting_router(options.address, options.tls):
            result = await bench_load(options, bar)
    if per_request:
        Console().print(requests_table(result.records))
    if json:
        print(result.to_json())
    else:
        Console().print(report_table(result.report))


async def show_router(options: RouterBenchOptions, *, json: bool) -> None:
    """Measure the router and print its figures."""
    _print((await bench_router(options)).to_json(), json=json)


async def show_handoff(options: HandoffOptions, *, json: bool) -> None:
    """Measure hand-offs and print the figures."""
    _print((await bench_handoff(options)).to_json(), json=json)


async def show_restart(options: RestartOptions, *, json: bool) -> None:
    """Measure restarts and print the figures."""
    settings = await with_model(options.settings, Console(stderr=True).print)
    _print((await bench_restart(replace(options, settings=settings))).to_json(), json=json)


async def show_prefix(options: PrefixOptions, *, json: bool) -> None:
    """Hold the conversations and print how much of their prompts was cached."""
    settings = await with_model(options.settings, Console(stderr=True).print)
    _print((await bench_prefix(replace(options, settings=settings))).to_json(), json=json)


async def show_verification(options: VerifyOptions, *, json: bool) -> None:
    """Verify behind progress bars and print the verdict. Raises typer.Exit(1) when it is not good."""
    with verify_bars() as bars:
        report = await verify(options, bars)
    _print(report.to_json(), json=json)
    if not report.passed:
        raise typer.Exit(1)


def _print(line: str, *, json: bool) -> None:
    if json:
        print(line)
        return
    table = Table(box=None, show_header=False)
    for name, value in _flat(json_module.loads(line)):
        table.add_row(name, f"{value:,.2f}" if isinstance(value, float) else str(value))
    Console().print(table)


def _flat(fields: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Nested names joined by spaces, without what only a machine wants."""
    rows: list[tuple[str, object]] = []
    for name, value in fields.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            rows += _flat(value, f"{label} ")
        elif name != "schema":
            rows.append((label, value))
    return rows
