"""Owns what each engine offers beyond drawing tokens: the router refuses by it, so that no engine leaves a wish out."""

from collections.abc import Iterator

from splitwiser.engine.base import Sampling, StopRule
from splitwiser.errors import Unsupported

OFFERS: dict[str, frozenset[str]] = {
    "sim": frozenset(),
    "transformers": frozenset({"sampling.logprobs"}),
    "vllm": frozenset(
        {
            "sampling.logprobs",
            "sampling.min_p",
            "sampling.logit_bias",
            "sampling.structured_output",
            "sampling.presence_penalty",
            "sampling.frequency_penalty",
            "sampling.repetition_penalty",
            "sampling.bad_words",
            "stop.min_tokens",
        }
    ),
}
"""By engine.kind: fields of a request."""


def require_offered(engine: str, sampling: Sampling, stop: StopRule) -> None:
    """Raise Unsupported for the first wish that the engine does not fulfil."""
    for field in _wishes(sampling, stop):
        if field not in OFFERS[engine]:
            able = " or ".join(kind for kind, offered in OFFERS.items() if field in offered)
            cause, remedy = f"the {engine} engine does not offer it", f"leave it out, or serve with --engine {able}"
            raise Unsupported(cause, field=field, help=remedy)


def _wishes(sampling: Sampling, stop: StopRule) -> Iterator[str]:
    if sampling.logprobs is not None:
        yield "sampling.logprobs"
    if sampling.min_p:
        yield "sampling.min_p"
    if sampling.logit_bias:
        yield "sampling.logit_bias"
    if sampling.structured_output:
        yield "sampling.structured_output"
    if sampling.presence_penalty:
        yield "sampling.presence_penalty"
    if sampling.frequency_penalty:
        yield "sampling.frequency_penalty"
    if sampling.repetition_penalty != 1:
        yield "sampling.repetition_penalty"
    if sampling.bad_words:
        yield "sampling.bad_words"
    if stop.min_tokens:
        yield "stop.min_tokens"
