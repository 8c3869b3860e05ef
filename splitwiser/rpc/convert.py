"""Owns the border between protobuf messages and the library's own dataclasses."""

import json
from collections.abc import Sequence

from splitwiser.engine.base import FinishReason, Sampling, StopRule, StructuredOutput, TokenLogprobs
from splitwiser.errors import InvalidRequest
from splitwiser.v1 import sampling_pb2

_FINISH_TO_PROTO = {
    FinishReason.STOP: sampling_pb2.FINISH_REASON_STOP,
    FinishReason.LENGTH: sampling_pb2.FINISH_REASON_LENGTH,
}
_FINISH_FROM_PROTO = {value: key for key, value in _FINISH_TO_PROTO.items()}


def finish_to_proto(reason: FinishReason | None) -> sampling_pb2.FinishReason:
    """None, a sequence that goes on, is UNSPECIFIED."""
    return sampling_pb2.FINISH_REASON_UNSPECIFIED if reason is None else _FINISH_TO_PROTO[reason]


def finish_from_proto(reason: sampling_pb2.FinishReason) -> FinishReason | None:
    """UNSPECIFIED is None, a sequence that goes on."""
    return _FINISH_FROM_PROTO.get(reason)


def sampling_to_proto(sampling: Sampling) -> sampling_pb2.SamplingParams:
    """All fields set: between services nothing is left to a default."""
    return sampling_pb2.SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=sampling.seed,
        min_p=sampling.min_p,
        logit_bias=[sampling_pb2.LogitBias(token_id=token_id, bias=bias) for token_id, bias in sampling.logit_bias],
        logprobs=sampling.logprobs,
        structured_output=_structured_to_proto(sampling.structured_output),
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        bad_token_ids=[sampling_pb2.TokenSequence(token_ids=word) for word in sampling.bad_words],
    )


def sampling_from_proto(proto: sampling_pb2.SamplingParams) -> Sampling:
    """From another service: every field must be set."""
    if not (proto.HasField("temperature") and proto.HasField("top_p") and proto.HasField("seed")):
        raise InvalidRequest(
            "temperature, top_p and seed must be set", field="sampling", help="call through the router"
        )
    return Sampling(
        proto.temperature,
        proto.top_p,
        proto.top_k,
        proto.seed,
        proto.min_p,
        bias_from_proto(proto.logit_bias),
        proto.logprobs if proto.HasField("logprobs") else None,
        structured_from_proto(proto.structured_output),
        proto.presence_penalty,
        proto.frequency_penalty,
        proto.repetition_penalty if proto.HasField("repetition_penalty") else 1.0,
        bad_words_from_proto(proto.bad_token_ids),
    )


def bad_words_from_proto(words: Sequence[sampling_pb2.TokenSequence]) -> tuple[tuple[int, ...], ...]:
    """The token ids of each."""
    return tuple(tuple(word.token_ids) for word in words)


def bias_from_proto(biases: Sequence[sampling_pb2.LogitBias]) -> tuple[tuple[int, float], ...]:
    """Pairs of token id and bias."""
    return tuple((entry.token_id, entry.bias) for entry in biases)


def structured_from_proto(proto: sampling_pb2.StructuredOutput) -> StructuredOutput | None:
    """None where no kind is set."""
    match proto.WhichOneof("kind"):
        case "json_schema":
            return StructuredOutput("json_schema", proto.json_schema)
        case "json_object":
            return StructuredOutput("json_object", "")
        case "regex":
            return StructuredOutput("regex", proto.regex)
        case "choice":
            return StructuredOutput("choice", json.dumps(list(proto.choice.choices)))
        case "grammar":
            return StructuredOutput("grammar", proto.grammar)
        case _:
            return None


def _structured_to_proto(output: StructuredOutput | None) -> sampling_pb2.StructuredOutput | None:
    if output is None:
        return None
    match output.kind:
        case "json_object":
            return sampling_pb2.StructuredOutput(json_object=True)
        case "choice":
            return sampling_pb2.StructuredOutput(choice=sampling_pb2.Choices(choices=json.loads(output.spec)))
        case "json_schema":
            return sampling_pb2.StructuredOutput(json_schema=output.spec)
        case "regex":
            return sampling_pb2.StructuredOutput(regex=output.spec)
        case "grammar":
            return sampling_pb2.StructuredOutput(grammar=output.spec)


def logprobs_to_proto(logprobs: TokenLogprobs) -> sampling_pb2.TokenLogprobs:
    """As the engine tells them."""
    return sampling_pb2.TokenLogprobs(
        logprob=logprobs.logprob,
        top_token_ids=[token_id for token_id, _ in logprobs.top],
        top_logprobs=[logprob for _, logprob in logprobs.top],
    )


def stop_to_proto(stop: StopRule) -> sampling_pb2.StopConditions:
    """Stop strings are the router's work and never travel."""
    return sampling_pb2.StopConditions(
        max_tokens=stop.max_tokens,
        stop_token_ids=sorted(stop.stop_token_ids),
        ignore_eos=True,
        min_tokens=stop.min_tokens,
    )


def stop_from_proto(proto: sampling_pb2.StopConditions) -> StopRule:
    """From another service: the end-of-sequence tokens are among the stop token ids already."""
    if proto.max_tokens < 1:
        raise InvalidRequest("must be at least 1", field="stop.max_tokens", help="call through the router")
    return StopRule(proto.max_tokens, frozenset(proto.stop_token_ids), proto.min_tokens)
