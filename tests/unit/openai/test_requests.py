"""OpenAI's and vLLM's names of a wish become the protocol's one."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from splitwiser.engine.base import StopRule
from splitwiser.engine.offers import require_offered
from splitwiser.errors import InvalidRequest, Unsupported
from splitwiser.openai.requests import chat_request, completion_request
from splitwiser.openai.schema import ChatBody, CompletionBody, parse
from splitwiser.routing.sampling import check_sampling
from splitwiser.text.chat_template import PLAIN, ChatTemplate
from splitwiser.text.tokenizer import ByteTokenizer
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import Choices, StructuredOutput

SCHEMA = {"type": "object"}
MESSAGES = [{"role": "user", "content": "Hi"}]


def completion(**fields: Any) -> GenerateRequest:
    return completion_request(parse(CompletionBody, json.dumps({"prompt": "x", **fields}).encode()))


def chat(**fields: Any) -> GenerateRequest:
    body = parse(ChatBody, json.dumps({"messages": MESSAGES, **fields}).encode())
    return chat_request(body, ChatTemplate(PLAIN))


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, StructuredOutput(json_object=True)),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
            StructuredOutput(json_schema=json.dumps(SCHEMA)),
        ),
        ({"structured_outputs": {"json": SCHEMA}}, StructuredOutput(json_schema=json.dumps(SCHEMA))),
        ({"structured_outputs": {"json": "{}"}}, StructuredOutput(json_schema="{}")),
        ({"structured_outputs": {"regex": "a+"}}, StructuredOutput(regex="a+")),
        ({"structured_outputs": {"choice": ["a", "b"]}}, StructuredOutput(choice=Choices(choices=["a", "b"]))),
        ({"structured_outputs": {"grammar": "root ::= 'a'"}}, StructuredOutput(grammar="root ::= 'a'")),
    ],
)
def test_structured_output_by_either_name(fields: dict[str, Any], output: StructuredOutput | None) -> None:
    for request in (completion(**fields), chat(**fields)):
        assert request.sampling.HasField("structured_output") == (output is not None)
        assert request.sampling.structured_output == (output or StructuredOutput())


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "a", "grammar": "b"}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"logit_bias": {"fox": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"1" * 5000: 1}}, "logit_bias"),
        ({"presence_penalty": "much"}, "presence_penalty"),
        ({"bad_words": [1]}, "bad_words"),
    ],
)
def test_a_wish_that_is_none_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        completion(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (CompletionBody, {"prompt": [0, *[[]] * 1000]}),
        (CompletionBody, {"prompt": [[[]]] * 1000}),
        (CompletionBody, {"prompt": "x", "stop": [1] * 1000}),
        (CompletionBody, {"prompt": "x", "stop_token_ids": [-1] * 1000}),
        (CompletionBody, {"prompt": "x", "bad_words": [1] * 1000}),
        (CompletionBody, {"prompt": "x", "structured_outputs": {"choice": [1] * 1000}}),
        (ChatBody, {"messages": [1] * 1000}),
        (ChatBody, {"messages": MESSAGES, "modalities": [1] * 1000}),
    ],
)
def test_a_body_of_nothing_but_mistakes_costs_no_more_than_a_right_one(
    kind: type[ChatBody | CompletionBody], fields: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate_json(json.dumps(fields))
    assert caught.value.error_count() < 10
    with pytest.raises(InvalidRequest) as told:
        parse(kind, json.dumps(fields).encode())
    assert told.value.field == list(fields)[-1]


def test_log_probabilities_of_both_forms() -> None:
    assert not completion().sampling.HasField("logprobs")
    assert completion(logprobs=0).sampling.logprobs == 0
    assert completion(logprobs=0).sampling.HasField("logprobs")
    assert not chat(logprobs=False).sampling.HasField("logprobs")
    assert chat(logprobs=True).sampling.HasField("logprobs")
    assert chat(logprobs=True, top_logprobs=3).sampling.logprobs == 3
    with pytest.raises(InvalidRequest):
        chat(top_logprobs=3)


def test_what_asks_for_nothing_is_taken() -> None:
    request = completion(n=1, best_of=1, echo=False, presence_penalty=0, frequency_penalty=None, bad_words=[])
    assert request == completion(logit_bias=None, repetition_penalty=None)
    sampling = check_sampling(completion(repetition_penalty=1.0).sampling, 256, ByteTokenizer())
    require_offered("sim", sampling, StopRule(1, frozenset()))


def test_penalties_and_bad_words() -> None:
    wishes: dict[str, Any] = {"presence_penalty": 0.5, "frequency_penalty": -2, "repetition_penalty": 1.25}
    for request in (completion(**wishes, bad_words=["a", "b c"]), chat(**wishes, bad_words=["a", "b c"])):
        assert {name: getattr(request.sampling, name) for name in wishes} == wishes
        assert list(request.sampling.bad_words) == ["a", "b c"]


def test_what_is_left_out_stays_unset() -> None:
    request = completion()
    assert not request.sampling.HasField("temperature")
    assert not request.stop.HasField("max_tokens")
    assert not request.HasField("add_special_tokens")


def test_a_chats_text_has_its_special_tokens() -> None:
    request = chat(max_tokens=3, max_completion_tokens=5)
    assert (request.text, request.add_special_tokens, request.stop.max_tokens) == ("user: Hi\nassistant:", False, 5)


def test_the_template_gets_the_callers_names() -> None:
    body = parse(
        ChatBody, json.dumps({"messages": MESSAGES, "chat_template_kwargs": {"self": 1, "mood": "glad"}}).encode()
    )
    assert chat_request(body, ChatTemplate("{{ mood }}")).text == "glad"


@pytest.mark.parametrize("name", ["messages", "add_generation_prompt"])
def test_what_the_template_gets_from_fields_is_not_said_twice(name: str) -> None:
    with pytest.raises(InvalidRequest, match=name) as caught:
        chat(chat_template_kwargs={name: []})
    assert caught.value.field == "chat_template_kwargs"


def test_a_model_without_a_template_answers_no_chat() -> None:
    with pytest.raises(Unsupported):
        chat_request(parse(ChatBody, json.dumps({"messages": MESSAGES}).encode()), None)
