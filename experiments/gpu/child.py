"""Owns the talk with a process of an experiment: one line of JSON to it, one from it."""

import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AbstractAsyncContextManager
from typing import Any

from splitwiser.helper import helper


def running(module: str, *arguments: str, **environment: str) -> AbstractAsyncContextManager[Process]:
    """A process of this experiment, for the length of the block."""
    return helper(sys.executable, "-m", module, *arguments, stdin=PIPE, stdout=PIPE, env=os.environ | environment)


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
