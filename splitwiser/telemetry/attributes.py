"""Owns what a request's root span says of it: the GenAI conventions at the start, the outcome at the end. No text."""

from opentelemetry.util.types import AttributeValue

from splitwiser.telemetry import names

_LARGEST = (1 << 63) - 1


def request_attributes(
    request_id: str,
    *,
    model: str,
    max_tokens: int,
    temperature: float,
    top_p: float,
    top_k: int,
    seed: int,
    priority: int = 0,
) -> dict[str, AttributeValue]:
    """Of a request that was admitted. A seed beyond 63 bits is left out: a collector could not take it."""
    attributes: dict[str, AttributeValue] = {
        names.REQUEST_ID: request_id,
        names.OPERATION: "text_completion",
        names.PROVIDER: "splitwiser",
        names.MODEL: model,
        names.MAX_TOKENS: max_tokens,
        names.TEMPERATURE: temperature,
        names.TOP_P: top_p,
        names.TOP_K: top_k,
        names.PRIORITY: priority,
    }
    if seed <= _LARGEST:
        attributes[names.SEED] = seed
    return attributes


def outcome_attributes(
    outcome: str, *, prompt_tokens: int, completion_tokens: int, ttft_s: float | None = None
) -> dict[str, AttributeValue]:
    """Of a request that ended. ttft_s is None where no token came."""
    attributes: dict[str, AttributeValue] = {
        names.OUTCOME: outcome,
        names.INPUT_TOKENS: prompt_tokens,
        names.OUTPUT_TOKENS: completion_tokens,
    }
    if outcome in names.FINISHED:
        attributes[names.FINISH_REASONS] = (outcome,)
    if ttft_s is not None:
        attributes[names.TTFT_S] = ttft_s
    return attributes
