"""A prefill that pauses after its steps, in vLLM's own scheduler, beside a decode that computes on the same core."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import fmean, median

from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.rpc.client import Client
from splitwiser.telemetry.records import StepRecord
from splitwiser.telemetry.timeline import read_timeline
from tests.support.live_pool import request, tokens_of
from tests.support.paced_prefill import PAUSED, PREFILL, check_tokens_are_those_without_pauses
from tests.support.stack import RunningStack, running_stack

STREAMS = 4
WINDOW_S = 10.0


async def test_pauses_between_steps_leave_tokens_as_they_are(stack: RunningStack, tiny_llama: str) -> None:
    engine = {"kind": "vllm", "model": tiny_llama}
    with running_stack(engine=engine, pool={"pages": 1024}, prefill=PREFILL) as paced:
        await check_tokens_are_those_without_pauses(stack, paced)


@contextmanager
def one_core() -> Iterator[None]:
    """Whatever is started inside shares one core: there a phase slows the other down, as on a GPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def contended(model: Path, target_ms: float) -> Iterator[RunningStack]:
    prefill = {"chunk_tokens": 256, "itl_target_ms": target_ms}
    with running_stack(engine={"kind": "vllm", "model": str(model)}, pool={"pages": 2048}, prefill=prefill) as stack:
        yield stack


async def phases(stack: RunningStack, prompts: int) -> tuple[float, int]:
    """Decode's mean step in ms while so many prompts are there at any time, and how many of their tokens were done."""
    numbers = count(1)

    async def feed(client: Client) -> None:
        while True:
            await tokens_of(client, request(next(numbers), 1000, 1))

    async with Client(stack.address) as client:
        streams = [asyncio.create_task(tokens_of(client, request(next(numbers), 20, 3000))) for _ in range(STREAMS)]
        feeders = [asyncio.create_task(feed(client)) for _ in range(prompts)]
        await asyncio.sleep(2)
        start_ns = time.time_ns()
        await asyncio.sleep(WINDOW_S)
        end_ns = time.time_ns()
        assert not any(stream.done() for stream in streams)
        for task in (*streams, *feeders):
            task.cancel()
        await asyncio.wait([*streams, *feeders])
    await asyncio.sleep(0.5)
    records = [each for each in read_timeline(stack.settings.run_dir) if isinstance(each, StepRecord)]
    steps = [step for step in records if start_ns < step.start_ns and step.end_ns < end_ns]
    decode_ms = [(step.end_ns - step.start_ns) / 1e6 for step in steps if step.phase == "decode"]
    # In a longer one the machine stood still.
    usual_ms = [each for each in decode_ms if each < 5 * median(decode_ms)]
    return fmean(usual_ms), sum(step.tokens for step in steps if step.phase == "prefill")


async def test_decode_takes_its_target_beside_prompts_without_end_and_prefill_the_rest(tmp_path: Path) -> None:
    model = make_tiny(tmp_path / "model", hidden_size=512, intermediate_size=1536, num_hidden_layers=8)
    with one_core():
        with contended(model, target_ms=0) as stack:
            alone_ms, _ = await phases(stack, 0)
            beside_ms, tokens = await phases(stack, 2)
        target_ms = (alone_ms + beside_ms) / 2
        with contended(model, target_ms) as stack:
            paced_ms, paced_tokens = await phases(stack, 2)
            paused_s = stack.metric("prefill", PAUSED)
    assert beside_ms > 1.5 * alone_ms, "otherwise nothing is shown"
    # The core may have other speeds at other times: what is asked is that decode is clearly nearer to its target.
    assert paced_ms < (target_ms + beside_ms) / 2
    assert paused_s > 1
    assert paced_tokens > 0.1 * tokens
