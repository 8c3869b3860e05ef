"""`splitwiser up` over the sim engine as a user runs it: a process, watched by what it prints."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

COMMAND = (sys.executable, "-c", "from splitwiser.cli.main import main; main()")
START_S = 110.0


@dataclass(frozen=True)
class Ended:
    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """The object on the last line."""
        return json.loads(self.output.splitlines()[-1])


class Running:
    """A started command."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def line(self, part: str) -> str:
        """The next line that has this part."""
        assert self._child.stdout is not None
        async with asyncio.timeout(START_S):
            while line := (await self._child.stdout.readline()).decode():
                if part in line:
                    return line.strip()
        pytest.fail(f"ended before it said {part!r}")

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self._child.pid).children(recursive=True)

    def send(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    async def end(self) -> Ended:
        async with asyncio.timeout(START_S):
            output, errors = await self._child.communicate()
        assert self._child.returncode is not None
        return Ended(self._child.returncode, output.decode(), errors.decode())


@asynccontextmanager
async def started(folder: Path, *arguments: str) -> AsyncIterator[Running]:
    """`splitwiser ARGUMENTS` in this folder; killed, with all that it started, if it still runs at the end."""
    child = await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "TERM": "dumb"},
    )
    try:
        yield Running(child)
    finally:
        if child.returncode is None:
            child.kill()
            await child.communicate()


async def run(folder: Path, *arguments: str) -> Ended:
    """`splitwiser ARGUMENTS` in this folder, to its end."""
    async with started(folder, *arguments) as running:
        return await running.end()
