"""Owns a helper: a process that does one thing for this one, and lives no longer than a block."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def helper(*command: str, **options: Any) -> AsyncIterator[Process]:
    """Start command, with the options of asyncio.create_subprocess_exec. When the block ends, however it does, the
    process is killed if it still runs, and waited for: an event loop that closed earlier would leave it half-way."""
    process = await asyncio.create_subprocess_exec(*command, **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
