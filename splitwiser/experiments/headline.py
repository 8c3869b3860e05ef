"""Owns which of a kind's many metrics are shown: those that the experiment is about, in the order of their weight."""

from splitwiser.experiments.estimates import metrics_of
from splitwiser.experiments.result import Result

SHOWN = {
    "replay": ("ttft_p99_ms", "tpot_p99_ms", "output_tokens_per_s"),
    "burst": ("total_s", "output_tokens_per_s", "ttft_p50_ms", "tpot_p50_ms", "phase_prefill_ms", "phase_decode_ms"),
    "mix": ("itl_p50_ms", "itl_p99_ms", "prefill_tokens_per_s", "decode_tokens_per_s", "ttft_p50_ms"),
    "handoff": ("grant_to_first_step_p50_ms", "grant_p50_ms", "claim_p50_ms", "handed_over_pages", "copied_bytes"),
    "recovery": ("back", "ready_s", "answered_s", "longest_silence_s", "failed_requests"),
}


def metrics_shown(result: Result) -> list[str]:
    """Those of SHOWN that were measured."""
    there = set(metrics_of(result))
    return [name for name in SHOWN[result.definition["plan"]["kind"]] if name in there]
