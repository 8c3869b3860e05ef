"""A request through all five processes: right tokens, right text, right end, whatever else is in the batch."""

import asyncio
import random

import pytest

from splitwiser.engine.base import Sampling
from splitwiser.engine.sim.reference import expected_tokens
from splitwiser.rpc.client import Client
from splitwiser.text.tokenizer import ByteTokenizer
from splitwiser.v1.inference_pb2 import Finish, GenerateRequest, TokenIds
from splitwiser.v1.sampling_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP, SamplingParams, StopConditions
from tests.support.stack import RunningStack

GREEDY = SamplingParams(temperature=0)


async def answer(client: Client, request: GenerateRequest) -> tuple[list[int], str, Finish]:
    """All tokens, all text, and the end."""
    tokens, text, finish = list[int](), "", None
    async for message in client.generate(request, timeout_s=60):
        assert finish is None, "nothing follows the end"
        tokens += message.token_ids
        text += message.text
        finish = message.finish if message.HasField("finish") else None
    assert finish is not None
    return tokens, text, finish


def greedy_tokens(prompt: bytes, count: int) -> list[int]:
    return expected_tokens(list(prompt), count, Sampling(temperature=0, top_p=1, top_k=0, seed=0))


async def test_the_answer_is_the_unsplit_engines(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        request = GenerateRequest(text="Hello, store", sampling=GREEDY, stop=StopConditions(max_tokens=40))
        tokens, text, finish = await answer(client, request)
    assert tokens == greedy_tokens(b"Hello, store", 40)
    assert text == ByteTokenizer().decode(tokens)
    assert finish.reason == FINISH_REASON_LENGTH
    assert (finish.usage.prompt_tokens, finish.usage.completion_tokens) == (12, 40)


async def test_many_at_once_get_each_their_own(stack: RunningStack) -> None:
    draw = random.Random(5)
    prompts = [bytes(draw.randrange(32, 127) for _ in range(draw.randrange(1, 900))) for _ in range(60)]
    counts = [draw.randrange(1, 60) for _ in prompts]

    async with Client(stack.address) as client:

        async def one(prompt: bytes, count: int) -> list[int]:
            ids = TokenIds(ids=list(prompt))
            request = GenerateRequest(token_ids=ids, sampling=GREEDY, stop=StopConditions(max_tokens=count))
            return (await answer(client, request))[0]

        answers = await asyncio.gather(*map(one, prompts, counts))
    assert answers == [greedy_tokens(prompt, count) for prompt, count in zip(prompts, counts, strict=True)]
    await stack.assert_nothing_is_left()


async def test_a_seed_gives_the_same_tokens_in_any_company(stack: RunningStack) -> None:
    request = GenerateRequest(
        text="seeded", sampling=SamplingParams(temperature=1, seed=7), stop=StopConditions(max_tokens=20)
    )
    async with Client(stack.address) as client:
        alone = (await answer(client, request))[0]
        company = [GenerateRequest(text=f"other {index}") for index in range(10)]
        together = await asyncio.gather(*(answer(client, each) for each in [request, *company]))
    assert together[0][0] == alone


async def test_a_stop_string_ends_the_text_before_it(stack: RunningStack) -> None:
    text = ByteTokenizer().decode(greedy_tokens(b"stop here", 30))
    stop = StopConditions(max_tokens=30, stop=[text[10:13]])
    async with Client(stack.address) as client:
        _, shown, finish = await answer(client, GenerateRequest(text="stop here", sampling=GREEDY, stop=stop))
    assert shown == text[: text.index(text[10:13])]
    assert finish.reason == FINISH_REASON_STOP
    await stack.assert_nothing_is_left()


async def test_a_stop_token_ends_the_answer_and_is_returned(stack: RunningStack) -> None:
    tokens = greedy_tokens(b"token", 20)
    stop = StopConditions(max_tokens=20, stop_token_ids=[tokens[7]])
    async with Client(stack.address) as client:
        got, _, finish = await answer(client, GenerateRequest(text="token", sampling=GREEDY, stop=stop))
    assert got == tokens[: tokens.index(tokens[7]) + 1]
    assert finish.reason == FINISH_REASON_STOP


async def test_one_token_needs_no_decode(stack: RunningStack) -> None:
    grants = (await stack.counts()).grants
    async with Client(stack.address) as client:
        request = GenerateRequest(text="one", sampling=GREEDY, stop=StopConditions(max_tokens=1))
        tokens, _, finish = await answer(client, request)
    assert (tokens, finish.reason) == (greedy_tokens(b"one", 1), FINISH_REASON_LENGTH)
    assert (await stack.counts()).grants == grants
    await stack.assert_nothing_is_left()


async def test_timings_of_every_phase_come_back_when_asked_for(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        request = GenerateRequest(text="timed", include_timings=True, stop=StopConditions(max_tokens=5))
        _, _, finish = await answer(client, request)
        _, _, silent = await answer(client, GenerateRequest(text="x", stop=StopConditions(max_tokens=1)))
    times = finish.timings
    for name in ("prefill_ms", "ttft_ms", "grant_ms", "claim_ms", "grant_to_first_step_ms", "decode_ms", "total_ms"):
        assert getattr(times, name) > 0, name
    assert times.ttft_ms < times.total_ms
    assert not silent.HasField("timings")


async def test_the_model_says_what_it_is(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        model = await client.get_model()
        assert (model.model, model.engine, list(model.eos_token_ids)) == ("sim", "sim", [256])
        assert await client.tokenize("hé") == [104, 195, 169]


@pytest.mark.parametrize("prompt", ["naïve café", "🙂🙃", "日本語"])
async def test_any_text_goes_in(stack: RunningStack, prompt: str) -> None:
    async with Client(stack.address) as client:
        request = GenerateRequest(text=prompt, sampling=GREEDY, stop=StopConditions(max_tokens=3))
        assert (await answer(client, request))[0] == greedy_tokens(prompt.encode(), 3)
