"""What vLLM offers crosses the hand-off: grammars, log probabilities, biases, least lengths, priority."""

import asyncio
import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from splitwiser import errors
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest, GenerateResponse, TokenIds
from splitwiser.v1.sampling_pb2 import (
    FINISH_REASON_STOP,
    Choices,
    LogitBias,
    SamplingParams,
    StopConditions,
    StructuredOutput,
)
from tests.support.http import COMPLETIONS, http_client
from tests.support.stack import RunningStack, running_stack

END = 0
"""The tiny models' end of sequence."""
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "ready": {"type": "boolean"}},
    "required": ["name", "ready"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def stack(tiny_llama: str) -> Iterator[RunningStack]:
    """vLLM in both phases, with an HTTP door."""
    router = {"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0", "policy": "priority"}
    engine = {"kind": "vllm", "model": tiny_llama}
    with running_stack(engine=engine, pool={"pages": 1024}, prefill={"max_batch": 2}, router=router) as stack:
        yield stack


async def messages(stack: RunningStack, text: str, sampling: SamplingParams, **stop: Any) -> list[GenerateResponse]:
    async with Client(stack.address) as client:
        request = GenerateRequest(text=text, sampling=sampling, stop=StopConditions(**stop))
        return [message async for message in client.generate(request, timeout_s=60)]


async def text_of(stack: RunningStack, output: StructuredOutput, seed: int, temperature: float = 1.0) -> str:
    sampling = SamplingParams(temperature=temperature, seed=seed, structured_output=output)
    return "".join(message.text for message in await messages(stack, "Say it: ", sampling, max_tokens=200))


SENTENCES = ["the quick brown fox jumps over the lazy dog", "sphinx of black quartz, judge my vow"]


async def test_a_grammar_holds_from_the_first_token_to_the_last(stack: RunningStack) -> None:
    """Decode's grammar has taken prefill's token in: otherwise it would begin again."""
    choice = StructuredOutput(choice=Choices(choices=SENTENCES))
    regex = StructuredOutput(regex="(ab|cd){5}-[0-9]{3}")
    grammar = StructuredOutput(grammar='root ::= "<" word+ ">"\nword ::= "red " | "green "')
    free = asyncio.create_task(messages(stack, "free", SamplingParams(temperature=1, seed=5), max_tokens=40))
    texts = await asyncio.gather(
        *(text_of(stack, choice, seed, temperature) for seed in range(4) for temperature in (0.0, 1.0)),
        *(text_of(stack, regex, seed) for seed in range(4)),
        *(text_of(stack, grammar, seed) for seed in range(2)),
    )
    await free
    assert set(texts[:8]) <= set(SENTENCES)
    assert all(re.fullmatch("(ab|cd){5}-[0-9]{3}", text) for text in texts[8:12]), texts[8:12]
    assert all(re.match("<((red |green )+>)?", text) for text in texts[12:]), texts[12:]
    await stack.assert_nothing_is_left()


async def test_json_is_what_the_schema_says(stack: RunningStack) -> None:
    output = StructuredOutput(json_schema=json.dumps(SCHEMA))
    for text in await asyncio.gather(*(text_of(stack, output, seed) for seed in range(4))):
        # xgrammar lets control characters into strings, which a random model does draw.
        value = json.loads(text, strict=False)
        assert isinstance(value["name"], str)
        assert isinstance(value["ready"], bool)
        assert value.keys() == {"name", "ready"}


@pytest.mark.parametrize(
    "output",
    [
        StructuredOutput(regex="(unclosed"),
        StructuredOutput(grammar="root ::= nothing"),
        StructuredOutput(json_schema="{"),
        StructuredOutput(json_schema='{"type": "no such type"}'),
        StructuredOutput(choice=Choices()),
    ],
)
async def test_what_is_no_grammar_is_refused(stack: RunningStack, output: StructuredOutput) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        await text_of(stack, output, 0)
    assert caught.value.field == "sampling.structured_output"
    await stack.assert_nothing_is_left()


@pytest.mark.parametrize(("bad_words", "allowed"), [(["y"], ""), (["e", "es"], "y")], ids=["in prefill", "in decode"])
async def test_bad_words_that_leave_no_token_end_the_request_and_no_other_token_is_seen(
    stack: RunningStack, bad_words: list[str], allowed: str
) -> None:
    output = StructuredOutput(choice=Choices(choices=["yes"]))
    sampling = SamplingParams(temperature=0, structured_output=output, bad_words=bad_words)
    seen = ""

    async def listen() -> None:
        nonlocal seen
        async with Client(stack.address) as client:
            request = GenerateRequest(text="Say it: ", sampling=sampling, stop=StopConditions(max_tokens=20))
            async for message in client.generate(request, timeout_s=60):
                seen += message.text

    with pytest.raises(errors.InvalidRequest, match="bad_words forbid") as caught:
        await listen()
    assert (caught.value.field, seen) == ("sampling.structured_output", allowed)
    assert await text_of(stack, output, 0) == "yes", "the engine goes on"
    await stack.assert_nothing_is_left()


@pytest.mark.filterwarnings("ignore")  # vLLM's import meets what torch deprecates.
def test_a_bad_word_is_noticed_where_the_grammar_would_take_it() -> None:
    """Where nothing is left, token 0 is drawn, which may be what bad_words forbid: here it is the end."""
    from vllm import SamplingParams as Wishes
    from vllm.v1.request import Request

    from splitwiser.engine.vllm.grammar import is_bad

    wishes = Wishes(_bad_words_token_ids=[[0], [5, 6]])
    for output, expected in (([7, 0], True), ([5, 6], True), ([5, 7], False), ([6], False)):
        request = Request("0", [1], wishes, pooling_params=None, arrival_time=0.0)
        request.append_output_token_ids(output)
        assert is_bad(request) is expected


async def test_a_grammars_end_goes_before_min_tokens(stack: RunningStack) -> None:
    output = StructuredOutput(choice=Choices(choices=["yes"]))
    sampling = SamplingParams(temperature=0, structured_output=output)
    found = await messages(stack, "Say it: ", sampling, max_tokens=20, min_tokens=9)
    assert "".join(message.text for message in found) == "yes"
    assert found[-1].finish.reason == FINISH_REASON_STOP


@pytest.fixture(scope="module")
def logprob_error() -> float:
    """Between vLLM's float32 and that of transformers."""
    return 1e-3


async def test_log_probabilities_are_the_models_own(stack: RunningStack, tiny_llama: str, logprob_error: float) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    prompt = [40, 41, 42, 43, 44]
    async with Client(stack.address) as client:
        request = GenerateRequest(
            token_ids=TokenIds(ids=prompt),
            sampling=SamplingParams(temperature=0.7, seed=3, logprobs=4),
            stop=StopConditions(max_tokens=12, ignore_eos=True),
        )
        answer = [message async for message in client.generate(request, timeout_s=60)]
    tokens = [token for message in answer for token in message.token_ids]
    told = [entry for message in answer for entry in message.logprobs]
    assert len(told) == len(tokens) == 12
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
    expected = logits.double().log_softmax(dim=1)
    for row, token, entry in zip(expected, tokens, told, strict=True):
        assert entry.logprob == pytest.approx(float(row[token]), abs=logprob_error)
        assert list(entry.top_logprobs) == pytest.approx(row.topk(4).values.tolist(), abs=logprob_error)
        assert all(first >= second for first, second in pairwise(entry.top_logprobs))


async def test_a_bias_chooses_in_both_phases(stack: RunningStack) -> None:
    sampling = SamplingParams(temperature=0, logit_bias=[LogitBias(token_id=77, bias=100)])
    answer = await messages(stack, "bias", sampling, max_tokens=6, ignore_eos=True)
    assert [token for message in answer for token in message.token_ids] == [77] * 6


@pytest.mark.parametrize("least", [0, 1, 2, 5])
async def test_nothing_ends_before_the_least_length(stack: RunningStack, least: int) -> None:
    sampling = SamplingParams(temperature=0, logit_bias=[LogitBias(token_id=END, bias=100)])
    answer = await messages(stack, "least", sampling, max_tokens=20, min_tokens=least)
    tokens = [token for message in answer for token in message.token_ids]
    assert tokens.index(END) == len(tokens) - 1 == least


async def test_a_min_p_of_one_is_greedy(stack: RunningStack) -> None:
    drawn = await messages(stack, "min p", SamplingParams(temperature=1, seed=1, min_p=1), max_tokens=20)
    greedy = await messages(stack, "min p", SamplingParams(temperature=0), max_tokens=20)
    tokens, most_likely = ([token for m in answer for token in m.token_ids] for answer in (drawn, greedy))
    assert tokens == most_likely


async def test_a_seed_holds_for_prompts_in_chunks(stack: RunningStack) -> None:
    """Of eight prompts in steps of 512 tokens, most are cut; vLLM would end there on a CPU, or draw by the cuts."""
    sampling = SamplingParams(temperature=1, seed=4)
    ask = partial(messages, stack, "p" * 400, sampling, max_tokens=8, ignore_eos=True)
    alone = [token for message in await ask() for token in message.token_ids]
    together = await asyncio.gather(*(ask() for _ in range(8)))
    assert [[token for message in answer for token in message.token_ids] for answer in together] == [alone] * 8


async def test_a_lower_priority_number_goes_first_by_http_too(stack: RunningStack) -> None:
    order: list[int] = []
    urgent = 12
    async with http_client(stack.http_url) as client:

        async def ask(number: int, priority: int) -> None:
            # No two begin alike: none finds another's pages.
            body = {"prompt": [50 + number] * 900, "max_tokens": 1, "priority": priority}
            answer = await client.post(COMPLETIONS, json=body)
            assert answer.status_code == 200, answer.text
            order.append(number)

        await asyncio.gather(*(ask(number, 5) for number in range(urgent)), ask(urgent, -1))
    assert order.index(urgent) < urgent - 4, order


async def test_openai_asks_for_all_of_it(stack: RunningStack) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "it", "strict": True, "schema": SCHEMA}}
    async with http_client(stack.http_url) as client:
        body = {"prompt": "Say it: ", "max_tokens": 200, "response_format": form, "logprobs": 2, "temperature": 0}
        answer = (await client.post(COMPLETIONS, json=body)).json()
        body = {"prompt": "x", "max_tokens": 9, "structured_outputs": {"choice": ["yes"]}, "seed": 1}
        choice = (await client.post(COMPLETIONS, json=body)).json()["choices"][0]
    (said,) = answer["choices"]
    assert json.loads(said["text"], strict=False).keys() == {"name", "ready"}
    logprobs = said["logprobs"]
    lengths = {name: len(values) for name, values in logprobs.items()}
    assert set(lengths.values()) == {answer["usage"]["completion_tokens"]}, lengths
    assert "".join(logprobs["tokens"]).startswith(said["text"])
    assert choice["text"] == "yes"
