"""Requests that start with a part of their pages: more run at once, every token is right, and no page is lost."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from splitwiser.rpc.client import Client
from splitwiser.telemetry.records import StepRecord
from splitwiser.telemetry.timeline import read_timeline
from splitwiser.v1.inference_pb2 import GenerateRequest, TokenIds
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.integration.serving.test_generate import answer
from tests.integration.serving.test_prefix_cache import turn, words
from tests.support.stack import RunningStack, running_stack

GAVE_WAY = "splitwiser_requests_gave_way_total"
POOL: dict[str, Any] = {"pages": 96, "prefill_share": 0.25}
# Steps that take time as a GPU's do: what counts is how many requests are in one.
STEPS = {"prefill_us_per_token": 20, "decode_step_us": 8000, "decode_us_per_sequence": 20}


@pytest.fixture(params=[True, False], ids=["prefix-cache", "no-prefix-cache"], scope="module")
def small(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    with running_stack(pool={**POOL, "prefix_cache": request.param}, decode={"room_tokens": 32}) as stack:
        yield stack


async def test_answers_that_outgrow_the_pool_are_all_right(small: RunningStack) -> None:
    """Each needs 23 of decode's 72 pages in the end, so three have room: more of them run, and some give way."""
    async with Client(small.address) as client, asyncio.timeout(90):
        await asyncio.gather(*(turn(client, words(random.Random(seed), 60), 300) for seed in range(16)))
    await small.assert_nothing_is_left()
    assert small.metric("router", GAVE_WAY) > 0
    assert max(step.batch_size for step in decode_steps(small)) > 3


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("requests", "stop_token_ids"), [(200, [97]), (40, [])], ids=["stop-early", "run-to-the-end"])
async def test_a_pool_serves_more_than_with_all_pages_at_once(
    requests: int, stop_token_ids: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """By decode's steps, which hang on no clock. On two idle cores the ratio of the times was 2.6 and 1.4."""
    steps, gave_way = {}, 0.0
    for room_tokens in (0, 64):
        decode = {"room_tokens": room_tokens, "max_batch": 64}
        with running_stack(pool={"pages": 1024, "prefill_share": 0.25}, decode=decode, sim=STEPS) as stack:
            await serve_all(stack, requests, stop_token_ids)
            steps[room_tokens] = len(decode_steps(stack))
            gave_way = stack.metric("router", GAVE_WAY)
    with capsys.disabled():
        print(f"\nsteps: all pages at once {steps[0]}, as they grow {steps[64]}, gave way {gave_way:.0f} times")
    assert steps[0] / steps[64] > 1.1


def decode_steps(stack: RunningStack) -> list[StepRecord]:
    """What the timeline has of them."""
    steps = (each for each in read_timeline(stack.settings.run_dir) if isinstance(each, StepRecord))
    return [step for step in steps if step.phase == "decode"]


async def serve_all(stack: RunningStack, requests: int, stop_token_ids: list[int]) -> None:
    """Until all of them have ended: prompts of 200 tokens, answers of at most 1,024."""

    async def ask(client: Client, seed: int) -> None:
        ids = TokenIds(ids=words(random.Random(seed), 200))
        stop = StopConditions(max_tokens=1024, ignore_eos=True, stop_token_ids=stop_token_ids)
        await answer(client, GenerateRequest(token_ids=ids, sampling=SamplingParams(temperature=0), stop=stop))

    async with Client(stack.address) as client:
        await asyncio.gather(*(ask(client, seed) for seed in range(requests)))
