"""The first promise: split in two phases, chunked, batched and paged, a model gives the tokens that it gives alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from splitwiser.engine.base import Sampling
from splitwiser.engine.transformers.reference import Reference
from splitwiser.engine.transformers.tiny import ARCHITECTURES
from tests.unit.engine.transformers.serving import GREEDY, load_pair, random_requests, requests_of

BORDERS = [1, 2, 15, 16, 17, 199, 200, 201, 511, 512, 513]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
async def test_greedy_tokens_are_those_of_generate(architecture: str, tiny_model: Callable[[str], Path]) -> None:
    requests = requests_of(BORDERS, tokens=6, seed=5) + random_requests(9, seed=6, longest=700, most_tokens=40)
    reference = Reference(str(tiny_model(architecture)))
    expected = [reference.generate(request.prompt_ids, request.tokens) for request in requests]
    async with await load_pair(tiny_model(architecture)) as pair:
        assert await pair.serve(requests) == expected


async def test_seeded_tokens_are_those_of_generate_in_any_company(tiny_model: Callable[[str], Path]) -> None:
    random = Random(7)
    drawn = [
        replace(request, sampling=Sampling(random.choice([0.5, 1, 1.5]), random.choice([1, 0.9]), top_k, seed))
        for seed, (top_k, request) in enumerate(
            zip([0, 0, 1, 5, 50] * 2, random_requests(10, seed=8, longest=300, most_tokens=30), strict=True)
        )
    ]
    reference = Reference(str(tiny_model("llama")))
    expected = [reference.sample(request.prompt_ids, request.tokens, request.sampling) for request in drawn]
    mixed = [*drawn[:3], *random_requests(6, seed=9, longest=300, most_tokens=30), *drawn[3:]]
    async with await load_pair(tiny_model("llama")) as pair:
        assert await pair.serve(drawn) == expected
        answers = await pair.serve(mixed)
    assert answers[:3] + answers[9:] == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
async def test_a_resumed_request_goes_on_with_the_tokens_that_it_would_have_had(
    architecture: str, tiny_model: Callable[[str], Path]
) -> None:
    samplings = [GREEDY, Sampling(1, 0.9, 50, seed=3)]
    whole = [
        replace(request, sampling=sampling)
        for sampling in samplings
        for request in requests_of((5, 16, 190, 500), tokens=24, seed=12)
    ]
    async with await load_pair(tiny_model(architecture)) as pair:
        expected = await pair.serve(whole)
        resumed = [
            replace(request, prompt_ids=(*request.prompt_ids, *tokens[:streamed]), first_index=streamed)
            for request, tokens in zip(whole, expected, strict=True)
            for streamed in (2, 11, 23)
        ]
        answers = iter(await pair.serve(resumed))
    assert all(next(answers) == tokens[streamed:] for tokens in expected for streamed in (2, 11, 23))


async def test_decode_reads_the_prompt_from_the_pool(tiny_model: Callable[[str], Path]) -> None:
    # Were the prompt recomputed, or its KV carried along in private, wiping the pool would change nothing.
    requests = requests_of((9, 60, 250), tokens=12, seed=10)
    async with await load_pair(tiny_model("llama")) as pair:
        untouched = [(await pair.serve([request]))[0] for request in requests]
        pair.between = pair.wipe_pool
        wiped = [(await pair.serve([request]))[0] for request in requests]
    assert [answer[0] for answer in wiped] == [answer[0] for answer in untouched]
    assert all(ours != theirs for ours, theirs in zip(wiped, untouched, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
async def test_long_requests_in_a_crowd(architecture: str, tiny_model: Callable[[str], Path]) -> None:
    requests = random_requests(20, seed=11, longest=1500, most_tokens=80)
    reference = Reference(str(tiny_model(architecture)))
    expected = [reference.generate(request.prompt_ids, request.tokens) for request in requests]
    async with await load_pair(tiny_model(architecture), chunk_tokens=512) as pair:
        assert await pair.serve(requests) == expected
