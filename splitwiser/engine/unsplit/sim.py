"""Owns the simulated engine without a split: chunked prefill and decode share each step, as in one vLLM.

A step costs the sum of its parts, by the cost model of the sim engine: the prompt tokens in it, and, when it has
decodes, a decode step. Tokens are the sim engine's own, so that both sides can be compared token by token.
"""

import asyncio
import time
import zlib
from dataclasses import dataclass, field

from splitwiser.config.schema import Settings
from splitwiser.engine.sim.cost import StepCost
from splitwiser.engine.sim.model import hash_seed, kv_record, make_weights, next_token
from splitwiser.engine.unsplit.base import StepSink, WholeEngine, WholeJob


@dataclass(slots=True, eq=False)
class Sequence:
    """A request on its way: tokens_done of its prompt are computed, then it decodes."""

    job: WholeJob
    kv_hash: int
    pages: int
    done: "asyncio.Future[None]"
    tokens_done: int = 0
    generated: list[int] = field(default_factory=list)

    @property
    def prompt_left(self) -> int:
        return len(self.job.token_ids) - self.tokens_done

    def take_prompt(self, tokens: int) -> None:
        """Compute the next tokens of the prompt; the last of them brings token 0."""
        for position in range(self.tokens_done, self.tokens_done + tokens):
            self._write(self.job.token_ids[position], position)
        self.tokens_done += tokens
        if not self.prompt_left:
            self._draw()

    def take_token(self) -> None:
        """One decode step."""
        self._write(self.generated[-1], len(self.job.token_ids) + len(self.generated) - 1)
        self._draw()

    def _write(self, token: int, position: int) -> None:
        self.kv_hash = zlib.crc32(kv_record(token, position), self.kv_hash)

    def _draw(self) -> None:
        self.generated.append(next_token(self.kv_hash, self.job.sampling, len(self.generated)))
        self.job.on_token(self.generated[-1])
        if len(self.generated) == self.job.max_tokens and not self.done.done():
            self.done.set_result(None)


class SimWholeEngine(WholeEngine):
    """One loop: decodes first, prompts take what is left of the step's chunk_tokens, in order of arrival."""

    def __init__(self, settings: Settings, on_step: StepSink) -> None:
        self._sim, self._pool = settings.sim, settings.pool
        self._chunk_tokens, self._max_batch = settings.prefill.chunk_tokens, settings.decode.max_batch
        self._on_step = on_step
        self._cost = StepCost()
        self._seed = hash_seed(make_weights())
        self._waiting: list[Sequence] = []
        self._running: list[Sequence] = []
        self._wake = asyncio.Event()

    async def generate(self, job: WholeJob) -> None:
        pages = -(-(len(job.token_ids) + job.max_tokens) // self._pool.page_tokens)
        sequence = Sequence(job, self._seed, pages, asyncio.get_running_loop().create_future())
        self._waiting.append(sequence)
        self._wake.set()
        try:
            await sequence.done
        finally:
            sequence.done.cancel()

    async def run(self) -> None:
        while True:
            self._running = [each for each in self._running if not each.done.done()]
            self._admit()
            if self._running:
                await self._step()
            else:
                self._wake.clear()
                await self._wake.wait()

    @property
    def _pages_in_use(self) -> int:
        return sum(each.pages for each in self._running)

    def _admit(self) -> None:
        self._waiting = [each for each in self._waiting if not each.done.done()]
        while self._waiting and len(self._running) < self._max_batch:
            if self._running and self._pages_in_use + self._waiting[0].pages > self._pool.pages:
                break
            self._running.append(self._waiting.pop(0))

    async def _step(self) -> None:
        decodes = [each for each in self._running if not each.prompt_left]
        budget = max(0, self._chunk_tokens - len(decodes))
        chunks: list[tuple[Sequence, int]] = []
        for each in self._running:
            if each.prompt_left and budget:
                chunks.append((each, min(budget, each.prompt_left)))
                budget -= chunks[-1][1]
        prompt_tokens = sum(tokens for _, tokens in chunks)
        start_ns = time.time_ns()
        await self._cost.pay(self._cost_us(prompt_tokens, len(decodes)))
        for each, tokens in chunks:
            each.take_prompt(tokens)
        for each in decodes:
            each.take_token()
        phase = "mixed" if chunks and decodes else "prefill" if chunks else "decode"
        batch = len(chunks) + len(decodes)
        self._on_step(phase, start_ns, time.time_ns(), batch, prompt_tokens + len(decodes), self._pages_in_use)

    def _cost_us(self, prompt_tokens: int, decodes: int) -> float:
        decode_us = self._sim.decode_step_us + decodes * self._sim.decode_us_per_sequence if decodes else 0.0
        return prompt_tokens * self._sim.prefill_us_per_token + decode_us


async def load(settings: Settings, on_step: StepSink) -> WholeEngine:
    """There is nothing to load."""
    return SimWholeEngine(settings, on_step)
