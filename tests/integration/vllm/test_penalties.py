"""Penalties and bad words count one answer, not two parts of it: the split's tokens are those of one unsplit vLLM."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from splitwiser.bench.verify.answers import Answer, Asker
from splitwiser.bench.verify.cases import GREEDY, Case
from splitwiser.bench.verify.reference import reference_for
from splitwiser.engine.base import Sampling
from splitwiser.routing.bad_words import check_bad_words
from splitwiser.rpc.client import Client
from splitwiser.rpc.convert import sampling_to_proto
from splitwiser.text.model_info import load_model
from splitwiser.v1.sampling_pb2 import SamplingParams
from tests.support.http import COMPLETIONS, http_client
from tests.support.live_pool import check_requests_of_a_dead_decode_go_on_in_mid_stream
from tests.support.stack import RunningStack, running_stack

TOKENS = 60
LADDER = ((77, 100.0), (78, 99.0), (79, 98.0))
"""Biases for which the first token would come again, unless it counts."""
PENALTIES = {
    "presence": replace(GREEDY, presence_penalty=1.5),
    "frequency": replace(GREEDY, frequency_penalty=0.5),
    "repetition": replace(GREEDY, repetition_penalty=1.25),
    "again": replace(GREEDY, presence_penalty=1.5, logit_bias=LADDER),
    "more-often": replace(GREEDY, frequency_penalty=0.75, logit_bias=LADDER),
    "encouraged": replace(GREEDY, presence_penalty=-0.5, frequency_penalty=-0.25, repetition_penalty=0.9),
}


@pytest.fixture(scope="module")
def stack(tiny_llama: str) -> Iterator[RunningStack]:
    """vLLM in both phases, with an HTTP door. Prompts are cut into chunks."""
    router = {"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    engine = {"kind": "vllm", "model": tiny_llama}
    with running_stack(engine=engine, pool={"pages": 1024}, prefill={"chunk_tokens": 128}, router=router) as stack:
        yield stack


def cases(sampling: Sampling, name: str) -> list[Case]:
    """Some of which end with their first decoded token."""
    random = Random(name)
    lengths = ((1, TOKENS), (33, TOKENS), (200, TOKENS), (40, 2))
    prompts = ([random.randrange(1, 512) for _ in range(length)] for length, _ in lengths)
    return [
        Case(f"{name}-{tokens}-{len(prompt)}", tuple(prompt), tokens, sampling=sampling)
        for prompt, (_, tokens) in zip(prompts, lengths, strict=True)
    ]


def without(sampling: Sampling) -> Sampling:
    return replace(sampling, presence_penalty=0, frequency_penalty=0, repetition_penalty=1)


async def split(stack: RunningStack, asked: list[Case]) -> list[list[int]]:
    answers: dict[str, list[int]] = {}

    def take(answer: Answer) -> None:
        answers[answer.case.name] = answer.tokens

    async with Client(stack.address) as client:
        await Asker(client, concurrency=8).ask_all(asked, "0", take)
    return [answers[case.name] for case in asked]


async def unsplit(stack: RunningStack, asked: list[Case]) -> list[list[int]]:
    async with reference_for(stack.settings) as reference:
        return await reference.unstopped(stack.settings.engine.model, asked, lambda: None)


async def test_penalties_count_token_0_as_output_and_the_prompt_as_prompt(stack: RunningStack) -> None:
    asked = [case for name, sampling in PENALTIES.items() for case in cases(sampling, name)]
    plain = [replace(case, name=f"plain-{case.name}", sampling=without(case.sampling)) for case in asked]
    expected, unpenalized = await unsplit(stack, asked), await unsplit(stack, plain)
    # In one batch with requests that have none.
    assert await split(stack, [*asked, *plain]) == [*expected, *unpenalized]
    changed = {case.name.rsplit("-", 2)[0] for case, a, b in zip(asked, expected, unpenalized, strict=True) if a != b}
    assert changed == set(PENALTIES), "each does something"
    await stack.assert_nothing_is_left()


async def test_a_bad_word_does_not_come_over_the_hand_off(stack: RunningStack) -> None:
    """The words are what the model would say: a first token, tokens 0 and 1, and three further on."""
    plain = cases(GREEDY, "words")[:3]
    said = await unsplit(stack, plain)
    firsts = [((tokens[0],), tuple(tokens[20:23])) for tokens in said]
    pairs = [(tuple(tokens[:2]),) for tokens in said]
    asked = [
        replace(case, name=f"{case.name}-{number}", sampling=replace(GREEDY, bad_words=words))
        for number, (case, words) in enumerate(zip(plain * 2, [*firsts, *pairs], strict=True))
    ]
    expected = await unsplit(stack, asked)
    assert await split(stack, asked) == expected
    assert all(tokens[0] != answer[0] for tokens, answer in zip(said, expected[:3], strict=True))
    assert all(tokens[:2] != answer[:2] for tokens, answer in zip(said, expected[3:], strict=True))


async def test_a_resumed_answer_counts_all_of_its_tokens(stack: RunningStack) -> None:
    everything = replace(
        GREEDY, presence_penalty=0.5, frequency_penalty=0.25, repetition_penalty=1.125, bad_words=((7,), (8, 9))
    )
    (case,) = [replace(case, max_tokens=400) for case in cases(everything, "resumed")[2:3]]
    assert await split(stack, [case]) == await unsplit(stack, [case])
    await check_requests_of_a_dead_decode_go_on_in_mid_stream(stack, 400, sampling_to_proto(everything))


@pytest.mark.parametrize("words", [["the"], [" the", "fox", "the"], ["over the lazy"], ["é"], ["Sphinx", "  quartz"]])
def test_words_are_spelled_as_vllm_spells_them(stack: RunningStack, words: list[str]) -> None:
    import vllm
    from vllm.tokenizers import get_tokenizer

    info, tokenizer = load_model(stack.settings)
    ours = check_bad_words(SamplingParams(bad_words=words), info.vocab_size, tokenizer)
    theirs = vllm.SamplingParams(bad_words=words)
    theirs.update_from_tokenizer(get_tokenizer(stack.settings.engine.model))
    assert list(map(list, ours)) == theirs.bad_words_token_ids


async def test_openai_asks_for_all_of_it(stack: RunningStack) -> None:
    body = {"prompt": "the quick brown fox", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    wishes = ({"presence_penalty": 1.5}, {"frequency_penalty": 0.5}, {"repetition_penalty": 1.25})
    async with http_client(stack.http_url) as client:

        async def text(**fields: object) -> str:
            answer = await client.post(COMPLETIONS, json=body | fields)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["choices"][0]["text"])

        plain, *others = await asyncio.gather(text(), *(text(**wish) for wish in wishes))
        assert len({plain, *others}) == 4
        assert await text(bad_words=plain.split()) not in (plain, *others)
        refused = await client.post(COMPLETIONS, json=body | {"bad_words": [" "]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "bad_words")
