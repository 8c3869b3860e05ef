"""Owns the checks on how a request's tokens are to be drawn."""

import json
import math
import secrets

from splitwiser.engine.base import MAX_LOGPROBS, Sampling, StructuredOutput
from splitwiser.errors import InvalidRequest
from splitwiser.routing.bad_words import check_bad_words
from splitwiser.rpc import convert
from splitwiser.text.tokenizer import Tokenizer
from splitwiser.v1 import sampling_pb2

MAX_BIASES = 1024
MAX_BIAS = 100.0
MAX_PENALTY = 2.0
MAX_SPEC_CHARS = 1 << 16
"""Longest schema, regex, list of choices or grammar."""


def check_sampling(proto: sampling_pb2.SamplingParams, vocab_size: int, tokenizer: Tokenizer) -> Sampling:
    """Defaults filled in; a seed is drawn where none is given, so that both phases share it."""
    temperature = proto.temperature if proto.HasField("temperature") else 1.0
    top_p = proto.top_p if proto.HasField("top_p") else 1.0
    if not (math.isfinite(temperature) and 0 <= temperature <= 2):
        raise InvalidRequest(f"is {temperature}", field="sampling.temperature", help="use 0 (greedy) to 2")
    if not (math.isfinite(top_p) and 0 < top_p <= 1):
        raise InvalidRequest(f"is {top_p}", field="sampling.top_p", help="use a value above 0 and at most 1")
    if not 0 <= proto.min_p <= 1:
        raise InvalidRequest(f"is {proto.min_p}", field="sampling.min_p", help="use 0 (off) to 1")
    seed = proto.seed if proto.HasField("seed") else secrets.randbits(64)
    return Sampling(
        temperature,
        top_p,
        proto.top_k,
        seed,
        proto.min_p,
        _biases(proto, vocab_size),
        _logprobs(proto),
        _structured(proto),
        *_penalties(proto),
        check_bad_words(proto, vocab_size, tokenizer),
    )


def _penalties(proto: sampling_pb2.SamplingParams) -> tuple[float, float, float]:
    """Presence, frequency, repetition."""
    for name in ("presence_penalty", "frequency_penalty"):
        if not -MAX_PENALTY <= getattr(proto, name) <= MAX_PENALTY:
            raise InvalidRequest(f"is {getattr(proto, name)}", field=f"sampling.{name}", help="use -2 to 2; 0 is off")
    repetition = proto.repetition_penalty if proto.HasField("repetition_penalty") else 1.0
    if not (math.isfinite(repetition) and repetition > 0):
        raise InvalidRequest(f"is {repetition}", field="sampling.repetition_penalty", help="use above 0; 1 is off")
    return proto.presence_penalty, proto.frequency_penalty, repetition


def _logprobs(proto: sampling_pb2.SamplingParams) -> int | None:
    if not proto.HasField("logprobs"):
        return None
    if proto.logprobs > MAX_LOGPROBS:
        raise InvalidRequest(
            f"is {proto.logprobs}", field="sampling.logprobs", help=f"ask for at most {MAX_LOGPROBS} tokens"
        )
    return proto.logprobs


def _biases(proto: sampling_pb2.SamplingParams, vocab_size: int) -> tuple[tuple[int, float], ...]:
    biases = convert.bias_from_proto(proto.logit_bias)
    if len(biases) > MAX_BIASES or len({token_id for token_id, _ in biases}) < len(biases):
        remedy = f"send at most {MAX_BIASES} tokens, each once"
        raise InvalidRequest("has too many tokens, or one twice", field="sampling.logit_bias", help=remedy)
    for token_id, bias in biases:
        if token_id >= vocab_size:
            raise InvalidRequest(
                f"{token_id} is no token id", field="sampling.logit_bias", help=f"use ids below {vocab_size}"
            )
        if not -MAX_BIAS <= bias <= MAX_BIAS:
            raise InvalidRequest(f"has {bias}", field="sampling.logit_bias", help="use -100 to 100")
    return biases


def _structured(proto: sampling_pb2.SamplingParams) -> StructuredOutput | None:
    output = convert.structured_from_proto(proto.structured_output)
    if output is None:
        return None
    if len(output.spec) > MAX_SPEC_CHARS or (output.kind != "json_object" and output.spec in ("", "[]")):
        raise InvalidRequest(
            f"has {len(output.spec)} characters",
            field="sampling.structured_output",
            help=f"describe the text with 1 to {MAX_SPEC_CHARS} characters",
        )
    if output.kind == "json_schema":
        _check_schema(output.spec)
    return output


def _check_schema(text: str) -> None:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        cause = f"is no JSON, or too deep: {error}"
        raise InvalidRequest(cause, field="sampling.structured_output", help="send a JSON schema") from None
    if not isinstance(schema, dict | bool):
        raise InvalidRequest("is no schema", field="sampling.structured_output", help="send an object")
