"""Owns the transformers library's own `generate` as an engine: static batches, one after the other.

This is the paper's Hugging Face baseline. A batch is what waits when the one before has ended, up to prefill.max_batch
requests, padded on the left to the longest prompt; it runs until its longest answer is done.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from splitwiser.config.schema import Settings
from splitwiser.engine.transformers.library import load_model
from splitwiser.engine.transformers.numerics import set_up_arithmetic
from splitwiser.engine.unsplit.base import StepSink, WholeEngine, WholeJob

GATHER_S = 0.02
"""How long a batch waits for requests that were sent together to arrive together."""


class Steps:
    """A streamer of generate's: hands on each step's tokens, and when the step began."""

    def __init__(self, on_step: Callable[[Sequence[int], int], None]) -> None:
        self._on_step = on_step
        self._is_prompt = True
        self._began_ns = time.time_ns()

    def put(self, value: torch.Tensor) -> None:
        """value: the prompts, once; then [batch] tokens a step, on the CPU."""
        if self._is_prompt:
            self._is_prompt = False
        else:
            self._on_step(value.tolist(), self._began_ns)
        self._began_ns = time.time_ns()

    def end(self) -> None:
        """Everything has been handed on."""


class StaticBatches(WholeEngine):
    """One batch at a time, on a thread of its own."""

    def __init__(self, settings: Settings, on_step: StepSink) -> None:
        self._settings = settings
        self._on_step = on_step
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="generate")
        self._waiting: asyncio.Queue[tuple[WholeJob, asyncio.Future[None]]] = asyncio.Queue()
        self._model: Any = None

    async def start(self) -> None:
        """Load the model."""
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(self._thread, self._load)

    async def generate(self, job: WholeJob) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((job, done))
        await done

    async def run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(GATHER_S)
            while len(batch) < self._settings.prefill.max_batch and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            batch = [each for each in batch if not each[1].done()]
            if batch:
                await self._loop.run_in_executor(self._thread, self._generate, [job for job, _ in batch])
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _load(self) -> None:
        engine = self._settings.engine
        set_up_arithmetic(engine.threads)
        from transformers import GenerationConfig

        self._model = load_model(engine.model, engine.dtype)
        self._model.to(engine.device)
        self._model.generation_config = GenerationConfig(do_sample=False, pad_token_id=0)

    @torch.inference_mode()
    def _generate(self, jobs: list[WholeJob]) -> None:
        longest = max(len(job.token_ids) for job in jobs)
        rows = [[0] * (longest - len(job.token_ids)) + list(job.token_ids) for job in jobs]
        seen = [[0] * (longest - len(job.token_ids)) + [1] * len(job.token_ids) for job in jobs]
        counts = [0] * len(jobs)

        def on_step(tokens: Sequence[int], began_ns: int) -> None:
            first = not counts[0]
            phase, put_in = ("prefill", sum(map(sum, seen))) if first else ("decode", len(jobs))
            self._on_step(phase, began_ns, time.time_ns(), len(jobs), put_in, None)
            self._loop.call_soon_threadsafe(_hand_on, jobs, list(tokens), list(counts))
            counts[:] = [count + 1 for count in counts]

        self._model.generate(
            torch.tensor(rows, device=self._model.device),
            attention_mask=torch.tensor(seen, device=self._model.device),
            max_new_tokens=max(job.max_tokens for job in jobs),
            streamer=Steps(on_step),
        )


def _hand_on(jobs: Sequence[WholeJob], tokens: Sequence[int], counts: Sequence[int]) -> None:
    """To each request that still wants one."""
    for job, token_id, count in zip(jobs, tokens, counts, strict=True):
        if count < job.max_tokens:
            job.on_token(token_id)


async def load(settings: Settings, on_step: StepSink) -> WholeEngine:
    """Raises StartupError when the model cannot be loaded."""
    engine = StaticBatches(settings, on_step)
    await engine.start()
    return engine
