"""Owns processes that must come to their end in time."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from splitwiser.errors import StartupError
from splitwiser.stack.process import Process


async def run_to_end(command: Sequence[str], log: Path, *, what: str, timeout_s: float, help: str) -> Process:
    """The process, ended, with whatever exit code. Killed after timeout_s, and then a StartupError says what it was."""
    process = await Process.start(command, log)
    try:
        async with asyncio.timeout(timeout_s):
            await process.finish()
    except TimeoutError:
        raise StartupError(f"{what} did not end in {timeout_s:g} s", help=help) from None
    return process
