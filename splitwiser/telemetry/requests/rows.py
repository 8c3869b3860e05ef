"""Owns the row of a request: its phases, its durations, its outcome, read off its spans and the engine steps."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from splitwiser.telemetry import names
from splitwiser.telemetry.records import Record, StepRecord, Value
from splitwiser.telemetry.requests.quantiles import quantile
from splitwiser.telemetry.requests.spans import RequestSpans, spans_by_request

UNFINISHED: Final = "unfinished"
"""The outcome of a request whose root span is missing: it still runs, or its router was killed."""


_OUTCOMES: Final = (names.OUTCOME, names.ERROR_TYPE)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a request's life: queue, prefill, handoff or decode, and who was at it."""

    name: str
    start_ns: int
    end_ns: int
    instance: str


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request. A number is None where its phase did not happen or left no record.

    queue_ms: waiting before prefill, in the router and in the prefill worker. prefill_ms: first chunk's start to the
    first token. handoff_ms: grant to the end of the first decode step. decode_queue_ms: waiting for decode's pages,
    mostly while the prompt was being prefilled. decode_ms: all decode steps. token_gaps_ms: ascending, between the ends
    of the engine steps that made its tokens; the gap after token 0 holds the hand-off.
    """

    request_id: str
    trace_id: str
    start_ns: int
    prompt_tokens: int | None
    completion_tokens: int | None
    queue_ms: float | None
    prefill_ms: float | None
    ttft_ms: float | None
    handoff_ms: float | None
    decode_queue_ms: float | None
    decode_ms: float | None
    total_ms: float | None
    outcome: str
    token_gaps_ms: tuple[float, ...]
    phases: tuple[Phase, ...]

    @property
    def itl_p50_ms(self) -> float | None:
        return quantile(self.token_gaps_ms, 0.5) if self.token_gaps_ms else None

    @property
    def itl_p99_ms(self) -> float | None:
        return quantile(self.token_gaps_ms, 0.99) if self.token_gaps_ms else None


def request_rows(records: Sequence[Record]) -> list[RequestRow]:
    """A row for each request of the timeline, ordered by arrival."""
    step_ends = _decode_step_ends(records)
    return [_row(request, step_ends) for request in spans_by_request(records)]


def _row(request: RequestSpans, step_ends: Mapping[str, Sequence[int]]) -> RequestRow:
    first_step = request.start_ns(names.FIRST_STEP)
    return RequestRow(
        request_id=request.request_id,
        trace_id=request.trace_id,
        start_ns=request.spans[0].start_ns,
        prompt_tokens=_int(request.attribute(names.INPUT_TOKENS)),
        completion_tokens=_int(request.attribute(names.OUTPUT_TOKENS)),
        queue_ms=request.duration_ms(names.QUEUE, names.PREFILL_QUEUE),
        prefill_ms=_ms(request.start_ns(names.PREFILL_CHUNK), request.end_ns(names.PREFILL_CHUNK)),
        ttft_ms=_ttft_ms(request),
        handoff_ms=_handoff_ms(request),
        decode_queue_ms=request.duration_ms(names.DECODE_QUEUE),
        decode_ms=_ms(first_step, request.end_ns(names.DECODE_STEPS) or request.end_ns(names.FIRST_STEP)),
        total_ms=request.duration_ms(names.REQUEST),
        outcome=_outcome(request),
        token_gaps_ms=tuple(sorted(_token_gaps_ms(request, step_ends))),
        phases=tuple(_phases(request)),
    )


def _phases(request: RequestSpans) -> Iterable[Phase]:
    for name in (names.QUEUE, names.PREFILL_QUEUE):
        for span in request.named(name):
            yield Phase("queue", span.start_ns, span.end_ns, span.instance)
    stretches = (
        ("prefill", request.start_ns(names.PREFILL_CHUNK), request.end_ns(names.PREFILL_CHUNK), names.PREFILL_CHUNK),
        ("handoff", request.start_ns(names.GRANT), request.end_ns(names.FIRST_STEP), names.FIRST_STEP),
        ("decode", request.end_ns(names.FIRST_STEP), request.end_ns(names.DECODE_STEPS), names.FIRST_STEP),
    )
    for name, start_ns, end_ns, at in stretches:
        if start_ns is not None and end_ns is not None:
            yield Phase(name, start_ns, end_ns, request.instance(at))


def _ttft_ms(request: RequestSpans) -> float | None:
    """As the router measured it; otherwise arrival to the end of the last chunk, which leaves out the way back."""
    measured_s = request.attribute(names.TTFT_S)
    if isinstance(measured_s, int | float):
        return measured_s * 1e3
    return _ms(request.start_ns(names.REQUEST), request.end_ns(names.PREFILL_CHUNK))


def _handoff_ms(request: RequestSpans) -> float | None:
    """As decode measured it by the store's clock; otherwise between the two spans."""
    measured_ms = request.attribute(names.HANDOFF_MS)
    if isinstance(measured_ms, int | float):
        return float(measured_ms)
    return _ms(request.end_ns(names.GRANT), request.end_ns(names.FIRST_STEP))


def _outcome(request: RequestSpans) -> str:
    """What the root says; a failed attempt below it may have been made good by a retry."""
    said = (root.attributes.get(name) for root in request.named(names.REQUEST) for name in _OUTCOMES)
    return str(next(filter(None, said), UNFINISHED))


def _token_gaps_ms(request: RequestSpans, step_ends: Mapping[str, Sequence[int]]) -> list[float]:
    """Between the first token and the last. A sequence is in every step of its worker from its first to its last."""
    first_ns, last_ns = request.end_ns(names.FIRST_STEP), request.end_ns(names.DECODE_STEPS)
    token_0_ns = request.end_ns(names.PREFILL_CHUNK)
    if first_ns is None or token_0_ns is None:
        return []
    ends = step_ends.get(request.instance(names.FIRST_STEP), ())
    own = ends[bisect_left(ends, first_ns) : bisect_right(ends, last_ns or first_ns)]
    return [(later - earlier) / 1e6 for earlier, later in pairwise((token_0_ns, *own))]


def _decode_step_ends(records: Iterable[Record]) -> dict[str, list[int]]:
    ends: dict[str, list[int]] = {}
    for record in records:
        if isinstance(record, StepRecord) and record.phase == names.DECODE:
            ends.setdefault(record.instance, []).append(record.end_ns)
    return {instance: sorted(values) for instance, values in ends.items()}


def _ms(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / 1e6


def _int(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None
