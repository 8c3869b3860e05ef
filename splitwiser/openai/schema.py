"""Owns the two requests' JSON: names and types of OpenAI's fields, of vLLM's additions, and what is refused by name."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from splitwiser.errors import InvalidRequest

Model = TypeVar("Model", bound="GenerationBody")
Item = TypeVar("Item")
Many = Annotated[list[Item], Field(fail_fast=True)]
"""A list whose first wrong item ends its check: only one is told, and a body may hold millions."""


def _only(neutral: object, why: str) -> AfterValidator:
    """A field that a client may send, as long as it asks for nothing."""

    def check(value: object) -> object:
        if value is not None and value != neutral:
            raise ValueError(why)
        return value

    return AfterValidator(check)


_NO_TOOLS = _only([], "tools are not supported")
Ignored = Any
"""A field that changes nothing of the answer."""


class JsonSchema(BaseModel):
    """Of response_format. schema_ is `schema` on the wire."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Ignored = None
    description: Ignored = None
    strict: Ignored = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class ResponseFormat(BaseModel):
    """OpenAI's way to say what the text must be."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StructuredOutputs(BaseModel):
    """vLLM's way; one of them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    json_: Annotated[dict[str, Any] | str | None, Field(alias="json")] = None
    json_object: bool | None = None
    regex: str | None = None
    choice: Many[str] | None = None
    grammar: str | None = None


class StreamOptions(BaseModel):
    """continuous_usage_stats, with include_usage: counts on every chunk, as in vLLM."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    include_obfuscation: Ignored = None


class GenerationBody(BaseModel):
    """What both requests have. None is a field that was not sent."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**32)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    max_tokens: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    stop: str | Many[str] | None = None
    stop_token_ids: Many[Annotated[int, Field(ge=0, lt=2**32)]] | None = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    min_tokens: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    min_p: float | None = None
    logit_bias: dict[str, float] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    bad_words: Many[str] | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    request_id: str | None = None
    cache_salt: str | None = None
    add_special_tokens: bool | None = None

    n: Annotated[int | None, _only(1, "only one choice is generated; send a request for each")] = None

    user: Ignored = None
    metadata: Ignored = None
    store: Ignored = None
    service_tier: Ignored = None
    safety_identifier: Ignored = None
    prompt_cache_key: Ignored = None


class CompletionBody(GenerationBody):
    """Of POST /v1/completions. prompt: text or token ids; a list may hold one of them."""

    prompt: str | Many[int] | Many[str] | Many[Many[int]]
    logprobs: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    best_of: Annotated[int | None, _only(1, "only one choice is generated")] = None
    echo: Annotated[bool | None, _only(False, "the prompt is not repeated in the answer")] = None
    suffix: Annotated[str | None, _only("", "text is generated at the end only")] = None


class ChatBody(GenerationBody):
    """Of POST /v1/chat/completions. A message is handed to the model's chat template as it is."""

    messages: Annotated[Many[dict[str, Any]], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    add_generation_prompt: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    tools: Annotated[list[Any] | None, _NO_TOOLS] = None
    functions: Annotated[list[Any] | None, _NO_TOOLS] = None
    tool_choice: Annotated[Any, _only("none", "tools are not supported")] = None
    parallel_tool_calls: Ignored = None
    modalities: Annotated[Many[str] | None, _only(["text"], "answers are text")] = None


def parse(kind: type[Model], body: bytes) -> Model:
    """The request. Raises InvalidRequest that names the first field that is wrong."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise _problem(error) from None


def _problem(error: ValidationError) -> InvalidRequest:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    first = details[0]
    names = [str(part) for part in first["loc"]]
    if first["type"] == "json_invalid":
        return InvalidRequest(first["msg"], field="body", help="send one JSON object")
    if first["type"] == "extra_forbidden":
        return InvalidRequest("is not supported", field=names[-1], help="leave it out; docs/openai.md lists the fields")
    if first["type"] == "missing":
        return InvalidRequest("is missing", field=names[-1], help="send it")
    cause = first["msg"].removeprefix("Value error, ")
    # Of a field that may be several things, the first name is the field's and the others are pydantic's.
    return InvalidRequest(cause[:1].lower() + cause[1:], field=names[0] if names else "body", help="correct it")
