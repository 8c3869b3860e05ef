"""Owns what the page's scripts are given: moments in microseconds after the first record, durations in ms."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from splitwiser.telemetry.records import Record, StepRecord
from splitwiser.telemetry.requests import RequestRow, summary


def page_data(records: Sequence[Record], rows: Sequence[RequestRow], title: str) -> dict[str, Any]:
    """Lanes of engine steps, requests with their phases, and quantiles."""
    steps = [record for record in records if isinstance(record, StepRecord)]
    origin_ns = min([*(step.start_ns for step in steps), *(row.start_ns for row in rows)], default=0)
    return {
        "title": title,
        "started_ms": origin_ns // 1_000_000,
        "lanes": list(_lanes(steps, origin_ns)),
        "requests": [_request(row, origin_ns) for row in rows],
        "summary": [{"name": name, **asdict(found)} for name, found in summary(rows).items()],
    }


def _lanes(steps: Sequence[StepRecord], origin_ns: int) -> Iterable[dict[str, Any]]:
    """Prefill above decode, as a request meets them."""
    ordered = sorted(steps, key=lambda step: (step.phase != "prefill", step.phase, step.instance, step.start_ns))
    for (phase, instance), own in groupby(ordered, key=lambda step: (step.phase, step.instance)):
        yield {"phase": phase, "instance": instance, "steps": [_step(step, origin_ns) for step in own]}


def _step(step: StepRecord, origin_ns: int) -> tuple[int | None, ...]:
    start_us, end_us = _us(step.start_ns, origin_ns), _us(step.end_ns, origin_ns)
    return start_us, end_us, step.batch_size, step.tokens, step.pages_in_use


def _request(row: RequestRow, origin_ns: int) -> dict[str, Any]:
    return {
        "id": row.request_id,
        "trace": row.trace_id,
        "prompt": row.prompt_tokens,
        "completion": row.completion_tokens,
        "queue": row.queue_ms,
        "prefill": row.prefill_ms,
        "ttft": row.ttft_ms,
        "handoff": row.handoff_ms,
        "decode": row.decode_ms,
        "itl50": row.itl_p50_ms,
        "itl99": row.itl_p99_ms,
        "total": row.total_ms,
        "outcome": row.outcome,
        "start": _us(row.start_ns, origin_ns),
        "phases": [
            (phase.name, _us(phase.start_ns, origin_ns), _us(phase.end_ns, origin_ns), phase.instance)
            for phase in row.phases
        ],
    }


def _us(at_ns: int, origin_ns: int) -> int:
    return (at_ns - origin_ns) // 1000
