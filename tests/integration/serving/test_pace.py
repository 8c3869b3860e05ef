"""Prefill pauses beside decode steps over the target, but not for ever, and not without streams or beside fast ones."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import median

from splitwiser.rpc.client import Client
from splitwiser.runtime.pace import LONGEST_PAUSE
from splitwiser.telemetry.records import StepRecord
from splitwiser.telemetry.timeline import read_timeline
from tests.integration.serving.test_prefix_cache import turn, words
from tests.support.paced_prefill import PAUSED
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import until

CHUNK_TOKENS = 1024
PROMPTS, CHUNKS_OF_EACH = 6, 2
# A decode step takes 20 ms whatever prefill does: over the one target, far below the other.
SIM = {"prefill_us_per_token": 20, "decode_step_us": 20_000, "decode_us_per_sequence": 0}


@contextmanager
def paced(target_ms: float) -> Iterator[RunningStack]:
    prefill = {"chunk_tokens": CHUNK_TOKENS, "itl_target_ms": target_ms}
    with running_stack(prefill=prefill, pool={"pages": 4096}, sim=SIM) as stack:
        yield stack


async def pauses_beside_a_stream(stack: RunningStack) -> list[float]:
    """Between prefill's steps of long prompts while a stream runs, as parts of the step before."""
    draw = random.Random(1)
    async with Client(stack.address) as client:
        # Longer than all of this takes, on any machine; it is left before its end.
        stream = asyncio.create_task(turn(client, words(draw, 20), 2000))
        for _ in range(PROMPTS):
            await turn(client, words(draw, 3000), 2)
        assert not stream.done()
        stream.cancel()
        await asyncio.wait([stream])
    await until(lambda: len(pauses_of(stack)) >= PROMPTS * CHUNKS_OF_EACH)
    return pauses_of(stack)


def pauses_of(stack: RunningStack) -> list[float]:
    """What its timeline has of them."""
    steps = [each for each in read_timeline(stack.settings.run_dir) if isinstance(each, StepRecord)]
    ours = [step for step in steps if step.phase == "prefill"]
    # A prompt's last step, which is shorter, is followed by whatever its client does.
    return [
        (after.start_ns - step.end_ns) / (step.end_ns - step.start_ns)
        for step, after in pairwise(ours)
        if step.tokens == CHUNK_TOKENS
    ]


async def test_beside_steps_that_no_pause_helps_prompts_still_have_a_fifth_of_the_time() -> None:
    with paced(target_ms=10) as stack:
        pauses = await pauses_beside_a_stream(stack)
        assert 0.9 * LONGEST_PAUSE < median(pauses) < 2 * LONGEST_PAUSE
        # No stream is left, so there is nothing to wait for; 12 longest pauses would be a second.
        before_s = stack.metric("prefill", PAUSED)
        assert before_s > 1
        async with Client(stack.address) as client:
            for _ in range(4):
                await turn(client, words(random.Random(2), 3000), 1)
        assert stack.metric("prefill", PAUSED) - before_s < 0.5
        await stack.assert_nothing_is_left()


async def test_beside_fast_ones_they_do_not_wait() -> None:
    with paced(target_ms=1000) as stack:
        assert median(await pauses_beside_a_stream(stack)) < 1
