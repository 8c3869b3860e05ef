"""Workers that die while requests read shared pages: no wrong token, and every page is somebody's afterwards."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator

import pytest

from splitwiser.errors import SplitwiserError
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest, TokenIds
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.integration.serving.test_generate import greedy_tokens
from tests.support.stack import RunningStack, running_stack

CONVERSATIONS = 12
TURNS = 8


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    pool = {"pages": 256, "prefill_share": 0.25}
    steps = {"prefill_us_per_token": 20.0, "decode_step_us": 1000.0, "decode_us_per_sequence": 1.0}
    with running_stack(pool=pool, sim=steps, router={"listen": "127.0.0.1:0", "retries": 5}) as stack:
        yield stack


class Talk:
    """Conversations that share system prompts; what they say never stops, until they are told to."""

    def __init__(self) -> None:
        self.wrong: list[tuple[list[int], list[int]]] = []
        self.answered = self.cached = self.loaded = self.failed = 0

    async def converse(self, client: Client, seed: int) -> None:
        draw = random.Random(seed)
        prompt = said(random.Random(seed % 3), 64)
        for _ in range(TURNS):
            prompt += said(draw, draw.randrange(1, 40))
            tokens = await self._turn(client, prompt, draw.randrange(2, 60))
            if tokens is None:
                return
            prompt += tokens

    async def _turn(self, client: Client, prompt: list[int], max_tokens: int) -> list[int] | None:
        stop = StopConditions(max_tokens=max_tokens, ignore_eos=True)
        ids = TokenIds(ids=prompt)
        request = GenerateRequest(token_ids=ids, sampling=SamplingParams(temperature=0), stop=stop)
        tokens: list[int] = []
        try:
            async for message in client.generate(request, timeout_s=30):
                tokens += message.token_ids
                self.cached += message.finish.usage.cached_tokens
                self.loaded += message.finish.usage.loaded_tokens
        except SplitwiserError:
            # Out of retries: what came before must be right all the same.
            self.failed += 1
        expected = greedy_tokens(bytes(prompt), max_tokens)
        if tokens != expected[: len(tokens)]:
            self.wrong.append((prompt, tokens))
        self.answered += tokens == expected
        return tokens if tokens == expected else None


async def talk_while_one_dies(stack: RunningStack, instance: str, ripe: Callable[[], Awaitable[bool]]) -> Talk:
    """Conversations during which a worker is killed three times, when the moment is ripe, or after two seconds."""
    talk = Talk()
    async with Client(stack.address) as client:
        talks = [asyncio.create_task(talk.converse(client, seed)) for seed in range(CONVERSATIONS)]
        for _ in range(3):
            for _ in range(100):
                if await ripe():
                    break
                await asyncio.sleep(0.02)
            await stack.replace(instance)
        await asyncio.gather(*talks)
    assert talk.wrong == []
    assert talk.answered > CONVERSATIONS
    await stack.assert_nothing_is_left()
    return talk


def said(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(32, 127) for _ in range(count)]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("instance", ["decode-0", "prefill-0"])
async def test_a_worker_that_dies_over_shared_pages_makes_no_wrong_token(stack: RunningStack, instance: str) -> None:
    async def pages_are_shared() -> bool:
        return (await stack.counts()).shared > 0

    assert (await talk_while_one_dies(stack, instance, pages_are_shared)).cached > 0


async def test_what_a_dead_decode_worker_wrote_is_still_found(stack: RunningStack) -> None:
    prompt = said(random.Random(99), 70)
    async with Client(stack.address) as client:
        request = GenerateRequest(
            token_ids=TokenIds(ids=prompt), sampling=SamplingParams(temperature=0), stop=StopConditions(max_tokens=60)
        )
        answers = []
        for _ in range(2):
            tokens: list[int] = []
            async for message in client.generate(request, timeout_s=30):
                tokens += message.token_ids
                cached = message.finish.usage.cached_tokens
            answers.append((tokens, cached))
            await stack.assert_nothing_is_left()
            await stack.replace("decode-0")
            # The conversation goes on in the second round, over the dead worker's pages.
            request.token_ids.ids.extend([*tokens, 65])
    assert answers[0] == (greedy_tokens(bytes(prompt), 60), 0)
    second = [*prompt, *answers[0][0], 65]
    assert answers[1] == (greedy_tokens(bytes(second), 60), (70 + 60 - 1) // 16 * 16)
