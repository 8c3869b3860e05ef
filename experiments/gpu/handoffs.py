"""Owns the times of a stack's hand-offs, by the spans of its workers."""

from pathlib import Path

from splitwiser.telemetry import names
from splitwiser.telemetry.records import SpanRecord
from splitwiser.telemetry.timeline import read_timeline


def handoffs(run_dir: Path) -> list[dict[str, float]]:
    """Milliseconds from the start of each grant to the end of its claim, and of its parts, by the workers' spans.

    In the order of the grants.
    """
    spans: dict[str, dict[str, SpanRecord]] = {}
    for each in read_timeline(run_dir):
        if isinstance(each, SpanRecord) and each.name in (names.GRANT, names.CLAIM):
            spans.setdefault(each.trace_id, {})[each.name] = each
    whole = sorted((each for each in spans.values() if len(each) == 2), key=lambda each: each[names.GRANT].start_ns)
    return [handoff(each[names.GRANT], each[names.CLAIM]) for each in whole]


def handoff(grant: SpanRecord, claim: SpanRecord) -> dict[str, float]:
    return {
        "grant_to_adopted_ms": (claim.end_ns - grant.start_ns) / 1e6,
        "grant_ms": grant.duration_ms,
        "prefill_to_router_to_decode_ms": (claim.start_ns - grant.end_ns) / 1e6,
        "claim_ms": claim.duration_ms,
    }
