"""Owns child processes of tests: whether one lives, and those that speak JSON lines."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil

from splitwiser.helper import helper

LINE_TIMEOUT_S = 60.0


def lives(process: psutil.Process) -> bool:
    """Whether it runs; it may be gone in the midst of being asked."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Child:
    """A Python module that runs as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self.process.stdout
        async with asyncio.timeout(LINE_TIMEOUT_S):
            line = await self.process.stdout.readline()
        assert line, "the child ended without a word"
        said: dict[str, Any] = json.loads(line)
        return said


@asynccontextmanager
async def child(module: str, *arguments: str) -> AsyncIterator[Child]:
    """Run a module until the block ends; whatever state it is in then, it is killed."""
    async with helper(sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE) as process:
        yield Child(process)
