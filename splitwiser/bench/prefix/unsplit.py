"""Owns the other side of a prefix measurement: one whole vLLM in a process of its own, with its own prefix cache."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from splitwiser.bench.prefix.rounds import Answered
from splitwiser.config.schema import Settings
from splitwiser.errors import StartupError
from splitwiser.helper import helper

LONGEST_LINE_BYTES = 2**24


class UnsplitVllm:
    """An Answerer. Made by unsplit_vllm."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def answer(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> Sequence[Answered]:
        """As Answerer has it; nothing is timed, as all of a round is one offline call."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([prompts, max_tokens]).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise StartupError("the unsplit vLLM failed, see above", help="check --model, and that vLLM is installed")
        return [Answered(tuple(token_ids), cached) for token_ids, cached in json.loads(line)]


@asynccontextmanager
async def unsplit_vllm(settings: Settings) -> AsyncIterator[UnsplitVllm]:
    """One vLLM with the whole pool's pages, for the length of the block."""
    # No more than it reads: every local user can read a process's arguments.
    needed = settings.model_dump_json(include={"engine", "pool"})
    command = (sys.executable, "-m", "splitwiser.bench.prefix.unsplit", needed)
    pipe = asyncio.subprocess.PIPE
    async with helper(*command, stdin=pipe, stdout=pipe, limit=LONGEST_LINE_BYTES, env=os.environ) as process:
        yield UnsplitVllm(process)


def main() -> None:
    """Each line of stdin is a round, [prompts, max_tokens]; of stdout, [token ids, cached tokens] of each prompt."""
    from splitwiser.engine.vllm.reference import Reference

    settings = Settings.model_validate_json(sys.argv[1])
    reference = Reference(settings.engine, page_tokens=settings.pool.page_tokens, pages=settings.pool.pages)
    for line in sys.stdin:
        prompts, max_tokens = json.loads(line)
        print(json.dumps(reference.turns(prompts, max_tokens)), flush=True)


if __name__ == "__main__":
    main()
