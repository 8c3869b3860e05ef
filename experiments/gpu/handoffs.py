"""Owns the times of a stack's hand-offs, by the spans of its workers."""

from pathlib import Path

from splitwiser.bench.handoff import read_handoffs


def handoffs(run_dir: Path) -> list[dict[str, float]]:
    """Milliseconds from the start of each grant to its pages adopted, and of its parts, in the order of the grants.

    They add up: grant, until the store has granted; wait, until decode has pages to give; claim, until it has these.
    grant_call is what prefill waits for the store's answer.
    """
    return [
        {
            "grant_to_adopted_ms": each.total_ms,
            "grant_ms": each.grant_ms,
            "wait_ms": each.wait_ms,
            "claim_ms": each.claim_ms,
            "grant_call_ms": each.grant_call_ms,
        }
        for each in read_handoffs(run_dir)
    ]
