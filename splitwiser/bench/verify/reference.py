"""Owns where right answers come from: the same model, whole, with no pool, no pages and no phases."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from splitwiser.bench.verify.cases import Case
from splitwiser.engine.base import Sampling
from splitwiser.engine.sim.reference import expected_tokens
from splitwiser.errors import StartupError

LONGEST_LINE_BYTES = 2**20
GREEDY = Sampling(temperature=0, top_p=1, top_k=0, seed=0)


async def make_model(architecture: str, folder: Path) -> None:
    """Write a small random model of the architecture into folder."""
    async with aclosing(_run({"make": architecture, "folder": str(folder)})) as lines:
        assert [line async for line in lines] == []


async def unstopped_tokens(model: str, cases: Sequence[Case], on_answer: Callable[[], None]) -> list[list[int]]:
    """Each greedy case's max_tokens tokens when nothing stops it. model: a folder or id; empty is the sim engine."""
    answers: list[list[int]] = []
    if not model:
        for case in cases:
            answers.append(expected_tokens(case.prompt_ids, case.max_tokens, GREEDY))
            on_answer()
        return answers
    job = {"model": model, "requests": [[case.prompt_ids, case.max_tokens] for case in cases]}
    async with aclosing(_run(job)) as lines:
        async for answer in lines:
            answers.append(answer)
            on_answer()
    return answers


async def _run(job: Mapping[str, object]) -> AsyncGenerator[list[int], None]:
    """The torch process's results. Raises StartupError with its output when it fails."""
    command = (sys.executable, "-m", "splitwiser.bench.verify.torch_process")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, limit=LONGEST_LINE_BYTES
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    errors = asyncio.create_task(process.stderr.read())
    try:
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        async for line in process.stdout:
            yield json.loads(line)
        if await process.wait():
            raise StartupError(
                f"the reference model failed:\n{(await errors).decode()}",
                help="check --model, and that torch is installed",
            )
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await errors
