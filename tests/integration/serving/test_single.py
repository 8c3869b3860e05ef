"""Both phases in one process: the same tokens, and never a step of both at once."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from splitwiser.engine.base import Sampling
from splitwiser.engine.sim.reference import expected_tokens
from splitwiser.rpc.client import Client
from splitwiser.telemetry.records import StepRecord
from splitwiser.telemetry.timeline import read_timeline
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.stack import RunningStack, running_stack

# Steps that sleep: without turns, those of both phases would overlap.
STEPS = {"prefill_us_per_token": 20.0, "decode_step_us": 2000.0, "decode_us_per_sequence": 1.0}
MAX_TOKENS = 60


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running_stack(gpu={"sharing": "single"}, sim=STEPS) as stack:
        yield stack


async def serve(stack: RunningStack, count: int) -> None:
    """Ask for that many answers at once, of long prompts and many tokens, and check each token."""
    sampling = SamplingParams(temperature=0, seed=0)
    stop = StopConditions(max_tokens=MAX_TOKENS, ignore_eos=True)

    async def ask(client: Client, text: str) -> None:
        request = GenerateRequest(text=text, sampling=sampling, stop=stop)
        answers = client.generate(request, timeout_s=60)
        tokens = [token_id async for answer in answers for token_id in answer.token_ids]
        assert tokens == expected_tokens(await client.tokenize(text), MAX_TOKENS, Sampling(0, 1, 0, 0))

    async with Client(stack.address) as client:
        await asyncio.gather(*(ask(client, f"request {number} " * 40) for number in range(count)))


async def test_one_process_serves_both_phases_with_the_right_tokens(stack: RunningStack) -> None:
    await serve(stack, 16)
    await stack.assert_nothing_is_left()
    assert stack.services == ["redis", "store", "single", "router"]


async def test_the_phases_take_turns(stack: RunningStack) -> None:
    await serve(stack, 16)
    await asyncio.sleep(0.5)
    steps = [record for record in read_timeline(stack.settings.run_dir) if isinstance(record, StepRecord)]
    turns = [step.phase for step in steps]
    assert sum(this != that for this, that in pairwise(turns)) > 10, "both phases had work at the same time"
    assert all(this.end_ns <= that.start_ns for this, that in pairwise(steps))


async def test_it_comes_back_when_it_dies(stack: RunningStack) -> None:
    await stack.replace("single")
    await serve(stack, 4)
    await stack.assert_nothing_is_left()
