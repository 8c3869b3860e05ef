"""Owns the border between protobuf messages and the library's own dataclasses."""

from splitwiser.engine.base import FinishReason, Sampling, StopRule
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
        temperature=sampling.temperature, top_p=sampling.top_p, top_k=sampling.top_k, seed=sampling.seed
    )


def sampling_from_proto(proto: sampling_pb2.SamplingParams) -> Sampling:
    """From another service: every field must be set."""
    if not (proto.HasField("temperature") and proto.HasField("top_p") and proto.HasField("seed")):
        raise InvalidRequest(
            "temperature, top_p and seed must be set", field="sampling", help="call through the router"
        )
    return Sampling(proto.temperature, proto.top_p, proto.top_k, proto.seed)


def stop_to_proto(stop: StopRule) -> sampling_pb2.StopConditions:
    """Stop strings are the router's work and never travel."""
    return sampling_pb2.StopConditions(
        max_tokens=stop.max_tokens, stop_token_ids=sorted(stop.stop_token_ids), ignore_eos=True
    )


def stop_from_proto(proto: sampling_pb2.StopConditions) -> StopRule:
    """From another service: the end-of-sequence tokens are among the stop token ids already."""
    if proto.max_tokens < 1:
        raise InvalidRequest("must be at least 1", field="stop.max_tokens", help="call through the router")
    return StopRule(proto.max_tokens, frozenset(proto.stop_token_ids))
