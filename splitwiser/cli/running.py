"""Owns the running of a command's coroutine: Ctrl-C and SIGTERM cancel it, so that every block it is in cleans up."""

import asyncio
import signal
from collections.abc import Coroutine

import typer

EXIT_SIGTERM = 128 + signal.SIGTERM


def run(main: Coroutine[object, object, None]) -> None:
    """Run to the end. Raises KeyboardInterrupt after a Ctrl-C, and typer.Exit after a SIGTERM."""
    try:
        asyncio.run(_cancelled_by_sigterm(main))
    except asyncio.CancelledError:
        raise typer.Exit(EXIT_SIGTERM) from None


async def _cancelled_by_sigterm(main: Coroutine[object, object, None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await main
