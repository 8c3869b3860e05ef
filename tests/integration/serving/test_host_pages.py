"""Pages that the pool has evicted come back from host memory: the same tokens, fewer of them computed, no page lost."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.rpc.client import Client
from splitwiser.telemetry import names
from splitwiser.telemetry.records import SpanRecord
from splitwiser.telemetry.timeline import read_timeline
from splitwiser.v1.inference_pb2 import GenerateRequest, TokenIds
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.integration.serving.test_generate import answer, greedy_tokens
from tests.integration.serving.test_prefix_cache import client_of, leave, words
from tests.support.host_pages import POOL, check_evicted_pages_come_back
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import until

PAGE_TOKENS = 16
SMALL = {"pages": 96, "prefill_share": 0.25, "host_pages": 1024}


@pytest.fixture(scope="module")
def small() -> Iterator[RunningStack]:
    """A pool that a few conversations fill, and a host that has room for many."""
    with running_stack(pool=SMALL) as stack:
        yield stack


async def turn(client: Client, prompt: list[int], max_tokens: int) -> tuple[list[int], int, int]:
    """The answer, which must be the right one, and how many tokens of the prompt were cached, and were loaded."""
    stop = StopConditions(max_tokens=max_tokens)
    request = GenerateRequest(token_ids=TokenIds(ids=prompt), sampling=SamplingParams(temperature=0), stop=stop)
    tokens, _, finish = await answer(client, request)
    assert tokens == greedy_tokens(bytes(prompt), max_tokens)
    return tokens, finish.usage.cached_tokens, finish.usage.loaded_tokens


async def flood(client: Client, seed: int) -> None:
    """Enough other prompts to replace every page of the index."""
    draw = random.Random(seed)
    for _ in range(12):
        await turn(client, words(draw, 150), 20)


def loads(stack: RunningStack) -> list[object]:
    """How many tokens each load brought back, by the timeline."""
    records = read_timeline(stack.settings.run_dir)
    spans = [record for record in records if isinstance(record, SpanRecord) and record.name == names.LOAD]
    return [span.attributes[names.TOKENS] for span in spans]


async def settled(stack: RunningStack) -> int:
    """How many pages have been saved, once nothing is left to be saved."""
    earlier, saved = -1, stack.pages_saved()
    while saved != earlier:
        await asyncio.sleep(0.3)
        earlier, saved = saved, stack.pages_saved()
    return saved


async def test_what_the_pool_has_evicted_comes_back_from_the_host(small: RunningStack) -> None:
    draw = random.Random(1)
    prompt, before = words(draw, 70), await settled(small)
    async with client_of(small) as client:
        tokens, *cached = await turn(client, prompt, 50)
        assert cached == [0, 0]
        assert await settled(small) == before + 7
        await flood(client, 100)
        follow_up = [*prompt, *tokens, *words(draw, 5)]
        assert (await turn(client, follow_up, 3))[1:] == (7 * PAGE_TOKENS, 7 * PAGE_TOKENS)
        await until(lambda: loads(small) == [7 * PAGE_TOKENS], 5)
        await small.assert_nothing_is_left()
        # It is in the pool again.
        assert (await turn(client, follow_up, 3))[1:] == (7 * PAGE_TOKENS, 0)


async def test_prompts_that_load_the_same_pages_at_once_share_them(small: RunningStack) -> None:
    draw = random.Random(2)
    prompt = words(draw, 80)
    async with client_of(small) as client:
        await turn(client, prompt, 20)
        await settled(small)
        await flood(client, 200)
        answers = await asyncio.gather(*(turn(client, [*prompt, *words(draw, 9)], 9) for _ in range(4)))
    assert sum(loaded for _, _, loaded in answers) >= 5 * PAGE_TOKENS
    assert all(cached >= 5 * PAGE_TOKENS for _, cached, _ in answers)


async def test_conversations_that_go_on_in_turns_stay_right(small: RunningStack) -> None:
    """Far more than the pool holds is saved, evicted and loaded under load; the sim's token tells of any wrong page."""
    async with client_of(small) as client:

        async def converse(seed: int) -> tuple[int, int]:
            draw, cached_sum, loaded_sum = random.Random(seed), 0, 0
            prompt = words(random.Random(seed % 2), 50)
            for _ in range(5):
                prompt += words(draw, draw.randrange(1, 30))
                tokens, cached, loaded = await turn(client, prompt, draw.randrange(1, 40))
                prompt += tokens
                cached_sum, loaded_sum = cached_sum + cached, loaded_sum + loaded
            return cached_sum, loaded_sum

        hits = await asyncio.gather(*map(converse, range(300, 324)))
    assert sum(loaded for _, loaded in hits) > 0
    assert all(loaded <= cached for cached, loaded in hits)


async def test_what_one_worker_saved_another_loads() -> None:
    with running_stack(pool=SMALL, prefill={"workers": 2}) as stack:
        draw = random.Random(6)
        asked = [words(draw, 100) for _ in range(6)]
        async with client_of(stack) as client:
            await asyncio.gather(*(turn(client, prompt, 9) for prompt in asked))
            await settled(stack)
            for seed in (600, 601):
                await flood(client, seed)
            again = await asyncio.gather(*(turn(client, prompt, 9) for prompt in asked))
    assert [loaded for _, _, loaded in again] == [6 * PAGE_TOKENS] * len(asked)


async def test_callers_who_leave_in_mid_load_leave_no_page_behind(small: RunningStack) -> None:
    draw = random.Random(4)
    prompt = words(draw, 100)
    async with client_of(small) as client:
        await turn(client, prompt, 10)
        await settled(small)
        for number in range(4):
            await flood(client, 400 + number)
            await asyncio.gather(*(leave(client, [*prompt, *words(draw, 40)], draw.random() * 0.03) for _ in range(10)))


async def test_a_host_of_few_pages_keeps_the_latest_of_them() -> None:
    with running_stack(pool={**SMALL, "host_pages": 8}) as stack:
        draw = random.Random(5)
        async with client_of(stack) as client:
            await flood(client, 500)
            prompt = words(draw, 70)
            await turn(client, prompt, 2)
            await settled(stack)
            assert (await turn(client, prompt, 2))[1:] == (4 * PAGE_TOKENS, 0)
            await flood(client, 501)
            assert (await turn(client, prompt, 2))[1:] == (0, 0)


async def test_pages_of_tensors_come_back_with_what_they_held(tmp_path: Path) -> None:
    engine = {"kind": "transformers", "model": str(make_tiny(tmp_path / "llama"))}
    with running_stack(engine=engine, pool={**POOL, "page_tokens": 32}) as stack:
        await check_evicted_pages_come_back(stack, page_tokens=32)
