"""Decode's claim waits for the grant, and not the grant for decode; pools too small for all neither lock nor leak."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from splitwiser.bench.handoff import Handoff, read_handoffs
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest, TokenIds
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.integration.serving.test_generate import greedy_tokens
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import until

PAGE_TOKENS = 16
# Three of the largest prompts fill prefill's share, and two of their requests decode's.
TIGHT = {"pages": 64, "prefill_share": 0.5, "page_tokens": PAGE_TOKENS}
LARGEST = 10 * PAGE_TOKENS


@pytest.fixture(scope="module")
def slow_prefill() -> Iterator[RunningStack]:
    sim = {"prefill_us_per_token": 100.0, "decode_step_us": 200.0, "decode_us_per_sequence": 1.0}
    with running_stack(sim=sim) as stack:
        yield stack


def request(prompt: list[int], max_tokens: int, priority: int = 0) -> GenerateRequest:
    return GenerateRequest(
        token_ids=TokenIds(ids=prompt),
        sampling=SamplingParams(temperature=0),
        stop=StopConditions(max_tokens=max_tokens, ignore_eos=True),
        priority=priority,
    )


async def tokens_of(client: Client, message: GenerateRequest) -> list[int]:
    return [token_id async for part in client.generate(message, timeout_s=60) for token_id in part.token_ids]


async def all_handoffs(run_dir: Path, count: int) -> list[Handoff]:
    await until(lambda: len(read_handoffs(run_dir)) >= count)
    return read_handoffs(run_dir)


async def test_grants_do_not_wait_while_decode_has_pages(slow_prefill: RunningStack) -> None:
    """Decode's claim is there before the prompt is computed, unless the machine is late with one."""
    draw = random.Random(1)
    prompts = [[draw.randrange(32, 127) for _ in range(1000 + 10 * number)] for number in range(12)]
    async with Client(slow_prefill.address) as client:
        answers = [await tokens_of(client, request(prompt, 5)) for prompt in prompts]
    assert answers == [greedy_tokens(bytes(prompt), 5) for prompt in prompts]
    handoffs = await all_handoffs(slow_prefill.settings.run_dir, 12)
    assert median(each.wait_ms for each in handoffs) == 0
    await slow_prefill.assert_nothing_is_left()


@pytest.mark.parametrize("prefix_cache", [True, False])
async def test_pools_too_small_for_all_serve_them_all(prefix_cache: bool) -> None:
    """Decode reserves for a prompt that has its pages: were it for any, those that wait would wait for each other."""
    draw = random.Random(2)
    router = {"listen": "127.0.0.1:0", "policy": "priority"}
    with running_stack(pool={**TIGHT, "prefix_cache": prefix_cache}, router=router) as stack:
        asked = []
        for _ in range(60):
            prompt = [draw.randrange(97, 100) for _ in range(draw.randrange(5, LARGEST))]
            asked.append((prompt, draw.randrange(2, 60), draw.randrange(5)))
        async with Client(stack.address) as client, asyncio.timeout(60):
            answers = await asyncio.gather(*(tokens_of(client, request(*each)) for each in asked))
        assert answers == [greedy_tokens(bytes(prompt), count) for prompt, count, _ in asked]
        await stack.assert_nothing_is_left()


async def test_those_who_leave_while_their_claims_wait_leave_nothing(slow_prefill: RunningStack) -> None:
    draw = random.Random(3)
    async with Client(slow_prefill.address) as client:
        for delay_s in (0.01, 0.05, 0.1, 0.15, 0.2, 0.22):
            prompt = [draw.randrange(32, 127) for _ in range(2000)]
            leaving = [asyncio.create_task(tokens_of(client, request([*prompt, last], 5))) for last in range(33, 37)]
            await asyncio.sleep(delay_s)
            for each in leaving:
                each.cancel()
            await asyncio.wait(leaving)
        await slow_prefill.assert_nothing_is_left()


async def test_a_first_token_that_is_the_last_leaves_no_claim(slow_prefill: RunningStack) -> None:
    prompt = [random.Random(4).randrange(32, 127) for _ in range(500)]
    (first,) = greedy_tokens(bytes(prompt), 1)
    message = request(prompt, 50)
    message.stop.stop_token_ids.append(first)
    async with Client(slow_prefill.address) as client:
        assert await tokens_of(client, message) == [first]
        assert await tokens_of(client, request(prompt, 1)) == [first]
    await slow_prefill.assert_nothing_is_left()
