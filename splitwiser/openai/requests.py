"""Owns the way of OpenAI's requests into the protocol's: what a caller leaves out stays unset, for intake."""

from typing import Any

from splitwiser.errors import InvalidRequest, Unsupported
from splitwiser.openai.schema import ChatBody, CompletionBody, GenerationBody
from splitwiser.openai.structure import structured_output
from splitwiser.text.chat_template import ChatTemplate
from splitwiser.v1 import inference_pb2, sampling_pb2

MAX_ID_DIGITS = 10
"""Of 2**32 - 1."""


def completion_request(body: CompletionBody) -> inference_pb2.GenerateRequest:
    """Of POST /v1/completions. Raises InvalidRequest."""
    request = _request(body, body.max_tokens, body.logprobs)
    prompt = _one_prompt(body.prompt)
    if isinstance(prompt, str):
        request.text = prompt
        if body.add_special_tokens is not None:
            request.add_special_tokens = body.add_special_tokens
    else:
        request.token_ids.ids.extend(_token_ids(prompt))
    return request


def chat_request(body: ChatBody, template: ChatTemplate | None) -> inference_pb2.GenerateRequest:
    """Of POST /v1/chat/completions. Raises InvalidRequest, and Unsupported for a model without a template."""
    if template is None:
        raise Unsupported(
            "the served model has no chat template",
            field="messages",
            help="use /v1/completions, or put a chat_template.jinja beside the model",
        )
    longest = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    request = _request(body, longest, _chat_logprobs(body))
    begins = body.add_generation_prompt is not False
    request.text = template.render(body.messages, add_generation_prompt=begins, **_template_names(body))
    # The template has put them in.
    request.add_special_tokens = bool(body.add_special_tokens)
    return request


def _one_prompt(prompt: str | list[int] | list[str] | list[list[int]]) -> str | list[int]:
    if not isinstance(prompt, list) or not prompt or isinstance(prompt[0], int):
        return prompt  # type: ignore[return-value]
    if len(prompt) > 1:
        raise InvalidRequest(f"has {len(prompt)} prompts", field="prompt", help="send one request for each prompt")
    return prompt[0]


def _token_ids(prompt: list[int]) -> list[int]:
    wrong = next((token_id for token_id in prompt if not 0 <= token_id < 2**32), None)
    if wrong is not None:
        raise InvalidRequest(f"{wrong} is no token id", field="prompt", help="use ids of the model's vocabulary")
    return prompt


def _template_names(body: ChatBody) -> dict[str, Any]:
    names = body.chat_template_kwargs or {}
    if twice := names.keys() & {"messages", "add_generation_prompt"}:
        cause = f"has {min(twice)}, a field of the request"
        raise InvalidRequest(cause, field="chat_template_kwargs", help="send it beside chat_template_kwargs")
    return names


def _chat_logprobs(body: ChatBody) -> int | None:
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise InvalidRequest("is set without logprobs", field="top_logprobs", help="send logprobs: true with it")
    return None


def _biases(body: GenerationBody) -> list[sampling_pb2.LogitBias]:
    biases = body.logit_bias or {}
    wrong = next((name for name in biases if not _is_token_id(name)), None)
    if wrong is not None:
        raise InvalidRequest(f"{wrong[:50]!r} is no token id", field="logit_bias", help="use token ids as keys")
    return [sampling_pb2.LogitBias(token_id=int(name), bias=bias) for name, bias in biases.items()]


def _is_token_id(name: str) -> bool:
    # Python reads no number of thousands of digits.
    return name.isascii() and name.isdigit() and len(name) <= MAX_ID_DIGITS and int(name) < 2**32


def _request(body: GenerationBody, max_tokens: int | None, logprobs: int | None) -> inference_pb2.GenerateRequest:
    stops = [body.stop] if isinstance(body.stop, str) else body.stop
    return inference_pb2.GenerateRequest(
        request_id=body.request_id or "",
        model=body.model or "",
        sampling=sampling_pb2.SamplingParams(
            temperature=body.temperature,
            top_p=body.top_p,
            # vLLM's clients say -1 for all tokens.
            top_k=max(body.top_k or 0, 0),
            seed=body.seed,
            min_p=body.min_p or 0,
            logit_bias=_biases(body),
            logprobs=logprobs,
            structured_output=structured_output(body),
            presence_penalty=body.presence_penalty or 0,
            frequency_penalty=body.frequency_penalty or 0,
            repetition_penalty=body.repetition_penalty,
            bad_words=body.bad_words or (),
        ),
        stop=sampling_pb2.StopConditions(
            max_tokens=max_tokens,
            stop=stops or (),
            stop_token_ids=body.stop_token_ids or (),
            ignore_eos=bool(body.ignore_eos),
            min_tokens=body.min_tokens or 0,
        ),
        priority=body.priority or 0,
        cache_salt=body.cache_salt or "",
    )
