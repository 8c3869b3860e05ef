"""Owns where right answers come from: the same model, whole, with no pool, no pages and no phases."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from splitwiser.bench.verify.cases import Case
from splitwiser.engine.sim.reference import expected_tokens
from splitwiser.errors import StartupError

ARCHITECTURES = ("llama", "opt", "qwen3", "gpt_neox")
LONGEST_LINE_BYTES = 2**20


class Reference(Protocol):
    """The models of one kind of engine to verify, and their right answers."""

    async def models(self, model: str, folder: Path) -> list[tuple[str, str]]:
        """Names and where each model is: that one, or if it is empty the usual ones, made in folder."""

    async def unstopped(self, model: str, cases: Sequence[Case], on_answer: Callable[[], None]) -> list[list[int]]:
        """Each case's max_tokens tokens when nothing stops it. model: a folder or id."""


class SimReference:
    """The sim engine's answers, computed here."""

    async def models(self, model: str, folder: Path) -> list[tuple[str, str]]:
        """There is one."""
        return [("sim", "")]

    async def unstopped(self, model: str, cases: Sequence[Case], on_answer: Callable[[], None]) -> list[list[int]]:
        """As Reference has it."""
        answers = []
        for case in cases:
            answers.append(expected_tokens(case.prompt_ids, case.max_tokens, case.sampling))
            on_answer()
        return answers


class TorchReference:
    """The transformers library's answers, computed in a process of their own. Made by reference_for."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def models(self, model: str, folder: Path) -> list[tuple[str, str]]:
        """As Reference has it; the usual ones are small, random, and of different architectures."""
        if model:
            return [(model, model)]
        folders = [(name, str(folder / name)) for name in ARCHITECTURES]
        for name, place in folders:
            await self._send([place, name])
            await self._line()
        return folders

    async def unstopped(self, model: str, cases: Sequence[Case], on_answer: Callable[[], None]) -> list[list[int]]:
        """As Reference has it."""
        await self._send([model, [[case.prompt_ids, case.max_tokens, asdict(case.sampling)] for case in cases]])
        answers = []
        for _ in cases:
            answers.append(await self._line())
            on_answer()
        return answers

    async def _send(self, job: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job).encode() + b"\n")

    async def _line(self) -> Any:
        assert self._process.stdout
        line = await self._process.stdout.readline()
        if line:
            return json.loads(line)
        raise StartupError("the unsplit model failed, see above", help="check --model, and that torch is installed")


@asynccontextmanager
async def reference_for(engine: str) -> AsyncIterator[Reference]:
    """The engine's reference. Its process, where it needs one, lives as long as the block; stderr is this process's."""
    if engine == "sim":
        yield SimReference()
        return
    command = (sys.executable, "-m", "splitwiser.bench.verify.torch_process")
    pipe = asyncio.subprocess.PIPE
    quiet = os.environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, limit=LONGEST_LINE_BYTES, env=quiet
    )
    try:
        yield TorchReference(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
