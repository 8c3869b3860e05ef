"""Owns the picture of a stack's services in the terminal: a live table there, a line for each change elsewhere."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from splitwiser.stack.child import ServiceStatus, State

_STYLES = {State.STARTING: "yellow", State.READY: "green", State.WAITING: "red", State.STOPPING: "yellow"}


class Board(AbstractContextManager["Board"]):
    """Use as a context; show takes every change of a service, say a line for the reader."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._services: dict[str, ServiceStatus] = {}
        self._live = Live(console=console, get_renderable=self._table) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, status: ServiceStatus) -> None:
        """Take a change."""
        self._services[status.instance] = status
        if self._live is None:
            self.say(f"{status.instance} {status.state}{status.address and f' at {status.address}'}")
        elif self._live.is_started:
            self._live.refresh()

    def say(self, line: str) -> None:
        """Print a line; a live table stays below it."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table | str:
        if not self._services:
            return ""
        table = Table(box=None, header_style="dim", pad_edge=False)
        for name in ("service", "state", "pid", "address", "restarts"):
            table.add_column(name)
        for status in self._services.values():
            state = Text(status.state, style=_STYLES.get(status.state, "dim"))
            pid, restarts = (str(number or "") for number in (status.pid, status.restarts))
            table.add_row(status.instance, state, pid, Text(status.address), restarts)
        return table
