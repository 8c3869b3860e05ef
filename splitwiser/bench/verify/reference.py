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
from splitwiser.config.schema import Settings
from splitwiser.engine.sim.reference import expected_tokens
from splitwiser.errors import StartupError
from splitwiser.helper import helper

ARCHITECTURES = {
    "transformers": ("llama", "opt", "qwen3", "gpt_neox"),
    # vLLM's CPU build crashes on gpt_neox, unsplit as well.
    "vllm": ("llama", "opt", "qwen3"),
}
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

    def __init__(self, settings: Settings, process: asyncio.subprocess.Process) -> None:
        self._settings = settings
        self._process = process

    async def models(self, model: str, folder: Path) -> list[tuple[str, str]]:
        """As Reference has it; the usual ones are small, random, and of different architectures."""
        if model:
            return [(model, model)]
        folders = [(name, str(folder / name)) for name in ARCHITECTURES[self._settings.engine.kind]]
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


class VllmReference(TorchReference):
    """One unsplit vLLM's answers. A vLLM keeps its model for the life of its process, so each model has another."""

    async def unstopped(self, model: str, cases: Sequence[Case], on_answer: Callable[[], None]) -> list[list[int]]:
        """As Reference has it."""
        async with _torch_process(self._settings) as process:
            return await TorchReference(self._settings, process).unstopped(model, cases, on_answer)


@asynccontextmanager
async def reference_for(settings: Settings) -> AsyncIterator[Reference]:
    """The engine's reference. Its process, where it needs one, lives as long as the block; stderr is this process's."""
    if settings.engine.kind == "sim":
        yield SimReference()
        return
    kind = VllmReference if settings.engine.kind == "vllm" else TorchReference
    async with _torch_process(settings) as process:
        yield kind(settings, process)


@asynccontextmanager
async def _torch_process(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    # No more than it reads: every local user can read a process's arguments.
    needed = settings.model_dump_json(include={"engine", "pool"})
    command = (sys.executable, "-m", "splitwiser.bench.verify.torch_process", needed)
    pipe = asyncio.subprocess.PIPE
    quiet = os.environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    async with helper(*command, stdin=pipe, stdout=pipe, limit=LONGEST_LINE_BYTES, env=quiet) as process:
        yield process
