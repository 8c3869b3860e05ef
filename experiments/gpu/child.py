"""Owns the talk with a process of an experiment: one line of JSON to it, one from it."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def running(module: str, *arguments: str, **environment: str) -> AsyncIterator[Process]:
    """A process of this experiment; killed at the end unless it has ended."""
    command = (sys.executable, "-m", module, *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=os.environ | environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: Process) -> str:
    assert process.stdout
    while True:
        said = (await process.stdout.readline()).decode()
        if not said:
            raise RuntimeError("a process of the experiment ended, see above")
        if said.startswith(("ready", "{")):
            return said


async def ask(process: Process, command: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin
    process.stdin.write(json.dumps(command).encode() + b"\n")
    answer: dict[str, Any] = json.loads(await line(process))
    return answer
