"""Owns `splitwiser doctor`: what the machine has for a stack, as a table or as JSON."""

import json as json_module
from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from splitwiser.config.schema import Settings
from splitwiser.errors import SplitwiserError
from splitwiser.stack.doctor import Diagnosis, examine_gpu
from splitwiser.stack.local import LocalStack

EXIT_FAILED = 1
_MARKS = {True: Text("ok", style="green"), False: Text("wrong", style="red"), None: Text("-", style="dim")}


async def doctor(settings: Settings, *, gpu: bool, json: bool) -> None:
    """Print the findings. Exits with 1 when something is wrong."""
    found = await examine_gpu(settings) if gpu else [await _machine(settings)]
    if json:
        print(json_module.dumps({"ok": _is_fine(found), "findings": [asdict(each) for each in found]}))
    else:
        Console().print(_table(found))
    if not _is_fine(found):
        raise typer.Exit(EXIT_FAILED)


async def _machine(settings: Settings) -> Diagnosis:
    try:
        await LocalStack(settings).check(makes_model=True)
    except SplitwiserError as error:
        return Diagnosis("settings and machine", error.cause, ok=False, help=error.help)
    return Diagnosis("settings and machine", "fine")


def _is_fine(found: Sequence[Diagnosis]) -> bool:
    return all(each.ok is not False for each in found)


def _table(found: Sequence[Diagnosis]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("", "", ""):
        table.add_column(name, overflow="fold")
    for each in found:
        answer = Text(each.answer)
        if each.help:
            answer.append(f"\nhelp: {each.help}", style="dim")
        table.add_row(_MARKS[each.ok], each.question, answer)
    return table
