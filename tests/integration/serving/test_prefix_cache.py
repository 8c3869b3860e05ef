"""Prompts that begin alike share pages across the hand-off: the same tokens, fewer of them computed, no page lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest, TokenIds
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.integration.serving.test_generate import answer, greedy_tokens
from tests.support.stack import RunningStack, running_stack

PAGE_TOKENS = 16
SMALL = {"pages": 96, "prefill_share": 0.25}


@pytest.fixture(scope="module")
def small() -> Iterator[RunningStack]:
    """A pool that a few conversations fill, so that cached pages are evicted all the time."""
    with running_stack(pool=SMALL) as stack:
        yield stack


@asynccontextmanager
async def client_of(stack: RunningStack) -> AsyncIterator[Client]:
    async with Client(stack.address) as client:
        yield client
    await stack.assert_nothing_is_left()


async def turn(client: Client, prompt: list[int], max_tokens: int) -> tuple[list[int], int]:
    """The answer, which must be the right one, and how many tokens of the prompt were cached."""
    stop = StopConditions(max_tokens=max_tokens)
    request = GenerateRequest(token_ids=TokenIds(ids=prompt), sampling=SamplingParams(temperature=0), stop=stop)
    tokens, _, finish = await answer(client, request)
    assert tokens == greedy_tokens(bytes(prompt), max_tokens)
    return tokens, finish.usage.cached_tokens


async def leave(client: Client, prompt: list[int], after_s: float) -> None:
    """Ask for a long answer, and stay no longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(after_s):
            await turn(client, prompt, 200)


def words(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(32, 127) for _ in range(count)]


async def test_a_second_turn_finds_the_first_ones_prompt_and_answer(small: RunningStack) -> None:
    draw = random.Random(1)
    prompt = words(draw, 70)
    async with client_of(small) as client:
        tokens, cached = await turn(client, prompt, 50)
        assert cached == 0
        await small.assert_nothing_is_left()
        follow_up = [*prompt, *tokens, *words(draw, 5)]
        _, cached = await turn(client, follow_up, 3)
    # The KV of the answer's last token is never written, so its page may not be full.
    assert cached == (70 + 50 - 1) // PAGE_TOKENS * PAGE_TOKENS


async def test_the_last_token_is_always_computed(small: RunningStack) -> None:
    prompt = words(random.Random(2), 3 * PAGE_TOKENS)
    async with client_of(small) as client:
        await turn(client, prompt, 2)
        await small.assert_nothing_is_left()
        assert (await turn(client, prompt, 2))[1] == 2 * PAGE_TOKENS


async def test_another_beginning_finds_nothing(small: RunningStack) -> None:
    prompt = words(random.Random(3), 60)
    async with client_of(small) as client:
        await turn(client, prompt, 2)
        await small.assert_nothing_is_left()
        assert (await turn(client, [prompt[0] ^ 1, *prompt[1:]], 2))[1] == 0


async def test_conversations_in_a_pool_too_small_for_all_of_them_stay_right(small: RunningStack) -> None:
    """Pages are shared, evicted and recalled under load; the sim engine's token tells of any page that is another's."""
    async with client_of(small) as client:

        async def converse(seed: int) -> int:
            draw = random.Random(seed)
            # Two system prompts: conversations share pages with each other, too.
            prompt, hits = words(random.Random(seed % 2), 50), 0
            for _ in range(5):
                prompt += words(draw, draw.randrange(1, 30))
                tokens, cached = await turn(client, prompt, draw.randrange(1, 40))
                prompt += tokens
                hits += cached
            return hits

        hits = await asyncio.gather(*map(converse, range(24)))
    assert sum(hits) > 0


async def test_callers_who_leave_leave_no_page_pinned(small: RunningStack) -> None:
    draw = random.Random(4)
    prompt = words(draw, 100)
    async with client_of(small) as client:
        await turn(client, prompt, 10)
        await asyncio.gather(*(leave(client, [*prompt, *words(draw, 40)], draw.random() * 0.2) for _ in range(40)))


async def test_switched_off_nothing_is_cached() -> None:
    with running_stack(pool={**SMALL, "prefix_cache": False}) as stack:
        prompt = words(random.Random(5), 64)
        async with client_of(stack) as client:
            for _ in range(2):
                assert (await turn(client, prompt, 20))[1] == 0
            counts = await stack.counts()
            assert (counts.cached, counts.shared) == (0, 0)


async def test_salts_keep_callers_apart(small: RunningStack) -> None:
    prompt = words(random.Random(6), 60)
    stop, greedy = StopConditions(max_tokens=2), SamplingParams(temperature=0)
    async with client_of(small) as client:
        cached = []
        for salt in ("", "mine", "mine", "yours"):
            ids = TokenIds(ids=prompt)
            request = GenerateRequest(token_ids=ids, sampling=greedy, stop=stop, cache_salt=salt)
            cached.append((await answer(client, request))[2].usage.cached_tokens)
            await small.assert_nothing_is_left()
    assert cached == [0, 0, 3 * PAGE_TOKENS, 0]


async def test_a_request_of_most_of_decodes_pages_runs_beside_the_cache(small: RunningStack) -> None:
    """The longest request that is admitted gets its pages, however many of them the index holds."""
    most = 24 * PAGE_TOKENS
    async with client_of(small) as client:
        await asyncio.gather(*(turn(client, words(random.Random(seed), 100), 20) for seed in range(20)))
        await turn(client, words(random.Random(7), most - 200), 200)
