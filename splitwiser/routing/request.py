"""Owns a request as the router carries it: checked, tokenized, with every default filled in."""

from dataclasses import dataclass

from splitwiser.engine.base import FinishReason, Sampling, StopRule


@dataclass(frozen=True, slots=True)
class RoutedRequest:
    """stop_strings are matched in the router; everything else travels to the engines. priority: lower first.

    cache_salt: only prompts under the same one share KV.
    """

    request_id: str
    prompt_ids: tuple[int, ...]
    sampling: Sampling
    stop: StopRule
    stop_strings: tuple[str, ...]
    priority: int
    cache_salt: str = ""


@dataclass(slots=True)
class PhaseTimes:
    """Milliseconds of each phase, filled in as the request goes; field names are those of the Timings message."""

    tokenize_ms: float = 0.0
    queue_ms: float = 0.0
    prefill_queue_ms: float = 0.0
    prefill_ms: float = 0.0
    ttft_ms: float = 0.0
    grant_ms: float = 0.0
    decode_queue_ms: float = 0.0
    claim_ms: float = 0.0
    grant_to_first_step_ms: float = 0.0
    decode_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, and after how many tokens."""

    finish_reason: FinishReason
    tokens: int
