"""Owns the mix: what decode streams feel of prompts, and prompts of decode streams, at one load of prompts."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from splitwiser.bench.statistics import quantile
from splitwiser.bench.workload import PlannedRequest
from splitwiser.errors import SplitwiserError
from splitwiser.experiments.definition import MixPlan, Point
from splitwiser.experiments.load import QUANTILES, Sender
from splitwiser.experiments.measure.base import Measure, Measured
from splitwiser.experiments.sides.target import Target

START_LIMIT_S = 120.0


@dataclass(slots=True)
class Counts:
    """What came since the beginning; a window is cut out by time."""

    gaps_ms: list[tuple[float, float]] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    prompts: list[tuple[float, float]] = field(default_factory=list)
    streams_begun: int = 0


class Mix(Measure):
    """Streams go on for ever, prompts ask for one token: all they cost is prefill."""

    def __init__(self, plan: MixPlan) -> None:
        self._plan = plan

    def check(self, target: Target) -> None:
        """Any target will do."""

    async def run(self, target: Target, point: Point, seed: int) -> Measured:
        plan, counts = self._plan, Counts()
        sender = Sender(target)
        loads = [self._stream(sender, counts, seed, index) for index in range(plan.streams)]
        async with _running(loads) as failed:
            await self._until_streams_run(counts, failed)
            prompts = [self._prompts(sender, counts, seed, n) for n in range(int(point["prompts_in_flight"]))]
            async with _running(prompts) as failed_prompts:
                await asyncio.sleep(plan.warmup_s)
                start_s = time.perf_counter()
                await _first_failure(plan.window_s, failed, failed_prompts)
                end_s = time.perf_counter()
        return Measured(self._metrics(counts, start_s, end_s))

    def gives_up(self, measured: Measured) -> bool:
        return False

    def _metrics(self, counts: Counts, start_s: float, end_s: float) -> dict[str, float]:
        window_s = end_s - start_s
        gaps = sorted(gap for at_s, gap in counts.gaps_ms if start_s <= at_s < end_s)
        ttfts = sorted(ttft for at_s, ttft in counts.prompts if start_s <= at_s < end_s)
        tokens = sum(start_s <= at_s < end_s for at_s in counts.tokens)
        metrics = {
            "decode_tokens_per_s": tokens / window_s,
            "prefill_tokens_per_s": len(ttfts) * self._plan.prompt_tokens / window_s,
        }
        for name, values in (("itl", gaps), ("ttft", ttfts)):
            if values:
                metrics |= {f"{name}_{label}_ms": quantile(values, at) for label, at in QUANTILES.items()}
        return metrics

    async def _stream(self, sender: Sender, counts: Counts, seed: int, index: int) -> None:
        """One stream; when an answer ends, the next begins. First answers differ in length, not to end at once."""
        plan, number = self._plan, 0
        output_tokens = max(2, plan.stream_output_tokens * (index + 1) // plan.streams)
        while True:
            planned = PlannedRequest(0.0, plan.stream_prompt_tokens, output_tokens, seed + index * 1009 + number)
            last_s = None
            async with aclosing(sender.send(sender.build(0, planned))) as answer:
                async for message in answer:
                    now_s = time.perf_counter()
                    counts.tokens += [now_s] * len(message.token_ids)
                    if last_s is not None and message.token_ids:
                        counts.gaps_ms.append((now_s, (now_s - last_s) * 1e3))
                    elif message.token_ids and number == 0:
                        counts.streams_begun += 1
                    last_s = now_s if message.token_ids else last_s
            output_tokens, number = plan.stream_output_tokens, number + 1

    async def _prompts(self, sender: Sender, counts: Counts, seed: int, index: int) -> None:
        """One prompt after the other."""
        number = 0
        while True:
            planned = PlannedRequest(0.0, self._plan.prompt_tokens, 1, seed + 500_009 * (index + 1) + number)
            record = await sender.one(planned)
            if record.ttft_s is None:
                raise SplitwiserError(
                    f"a prompt was not answered: {record.outcome.reason}", help="fewer prompts in flight may be needed"
                )
            counts.prompts.append((time.perf_counter(), record.ttft_s * 1e3))
            number += 1

    async def _until_streams_run(self, counts: Counts, failed: "asyncio.Future[None]") -> None:
        try:
            async with asyncio.timeout(START_LIMIT_S):
                while counts.streams_begun < self._plan.streams:
                    await _first_failure(0.05, failed)
        except TimeoutError:
            raise SplitwiserError(
                f"{counts.streams_begun} of {self._plan.streams} streams began within {START_LIMIT_S:g} s",
                help="fewer streams, shorter ones, or a larger pool.pages may be needed",
            ) from None


@asynccontextmanager
async def _running(loads: Sequence[Coroutine[object, object, None]]) -> AsyncIterator["asyncio.Future[None]"]:
    """The loads in tasks, ended with the block. Yields a future that fails when one of them does."""
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def told(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) and not failed.done():
            failed.set_exception(error)

    tasks = [asyncio.create_task(load) for load in loads]
    for task in tasks:
        task.add_done_callback(told)
    try:
        yield failed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        failed.cancel()


async def _first_failure(seconds: float, *failed: "asyncio.Future[None]") -> None:
    """Wait; raise at once what a load failed with."""
    done, _ = await asyncio.wait(failed, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for future in done:
        future.result()
