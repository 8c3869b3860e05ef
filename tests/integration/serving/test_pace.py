"""Prefill's steps follow decode's pace: shorter beside steps over the target, whole again without streams."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from splitwiser.engine.step_budget import LEAST_TOKENS
from splitwiser.rpc.client import Client
from splitwiser.telemetry.records import StepRecord
from splitwiser.telemetry.timeline import read_timeline
from tests.integration.serving.test_prefix_cache import turn, words
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import PATIENCE_S

CHUNK_TOKENS = 1024
BUDGET = "splitwiser_prefill_step_budget_tokens"
# A decode step takes 20 ms whatever prefill does: over the one target, far below the other.
SIM = {"prefill_us_per_token": 20, "decode_step_us": 20_000, "decode_us_per_sequence": 0}


@contextmanager
def paced(target_ms: float) -> Iterator[RunningStack]:
    settings: dict[str, Any] = {"chunk_tokens": CHUNK_TOKENS, "itl_target_ms": target_ms}
    with running_stack(prefill=settings, pool={"pages": 4096}, sim=SIM) as stack:
        yield stack


async def prefill_beside_a_stream(stack: RunningStack) -> list[int]:
    """The prompt tokens of prefill's steps, of which long prompts had all but the first while a stream ran."""
    draw = random.Random(1)
    async with Client(stack.address) as client:
        # Longer than all of this takes, on any machine; it is left before its end.
        stream = asyncio.create_task(turn(client, words(draw, 20), 2000))
        for _ in range(6):
            await turn(client, words(draw, 3000), 2)
        assert not stream.done()
        stream.cancel()
        await asyncio.wait([stream])
    await asyncio.sleep(0.5)
    steps = [each for each in read_timeline(stack.settings.run_dir) if isinstance(each, StepRecord)]
    return [step.tokens for step in steps if step.phase == "prefill"]


async def test_beside_slow_decode_steps_prompts_are_cut_into_the_shortest_chunks() -> None:
    with paced(target_ms=10) as stack:
        tokens = await prefill_beside_a_stream(stack)
        assert max(tokens[-20:]) <= LEAST_TOKENS
        # No stream is left, so a next step has prefill hear of none.
        async with Client(stack.address) as client, asyncio.timeout(PATIENCE_S):
            while stack.metric("prefill", BUDGET) != CHUNK_TOKENS:
                await turn(client, words(random.Random(2), 20), 1)
        await stack.assert_nothing_is_left()


async def test_beside_fast_ones_they_are_not() -> None:
    with paced(target_ms=1000) as stack:
        assert max(await prefill_beside_a_stream(stack)) == CHUNK_TOKENS
        assert stack.metric("prefill", BUDGET) == CHUNK_TOKENS
