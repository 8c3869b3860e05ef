"""Owns the two ways to ask for structured output, OpenAI's and vLLM's, into the protocol's one."""

import json

from splitwiser.errors import InvalidRequest
from splitwiser.openai.schema import GenerationBody, ResponseFormat, StructuredOutputs
from splitwiser.v1 import sampling_pb2

Output = sampling_pb2.StructuredOutput


def structured_output(body: GenerationBody) -> Output | None:
    """What the text must be; None for free text. Raises InvalidRequest when it is said twice, or not wholly."""
    wishes = [_of_format(body.response_format), _of_vllm(body.structured_outputs)]
    asked = [wish for wish in wishes if wish is not None]
    if len(asked) > 1:
        cause = "structured_outputs says it too"
        raise InvalidRequest(cause, field="response_format", help="send one of the two")
    return asked[0] if asked else None


def _of_format(form: ResponseFormat | None) -> Output | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return Output(json_object=True)
    if form.json_schema is None:
        raise InvalidRequest("has no json_schema", field="response_format", help="send json_schema.schema")
    return Output(json_schema=json.dumps(form.json_schema.schema_))


def _of_vllm(wish: StructuredOutputs | None) -> Output | None:
    if wish is None:
        return None
    given = wish.model_dump(exclude_none=True)
    if len(given) != 1:
        remedy = "send one of json, json_object, regex, choice, grammar"
        raise InvalidRequest(f"says {len(given)} kinds", field="structured_outputs", help=remedy)
    ((kind, value),) = given.items()
    if kind == "json_":
        return Output(json_schema=value if isinstance(value, str) else json.dumps(value))
    if kind == "choice":
        return Output(choice=sampling_pb2.Choices(choices=value))
    return Output(**given)
