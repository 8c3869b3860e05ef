"""Owns the timeline as a Perfetto trace, for ui.perfetto.dev.

A process for each service instance; in it one track of engine steps, counters of batch size and pages, and one track
for each request's spans there.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from splitwiser.telemetry.perfetto_tracks import Process, Trace
from splitwiser.telemetry.records import Record, SpanRecord, StepRecord
from splitwiser.telemetry.requests.spans import RequestSpans, spans_by_request


def write_perfetto(records: Sequence[Record], path: Path) -> None:
    """Write the records as a trace to path. Its clock is theirs: the wall clock, in ns."""
    trace = Trace()
    ordered = sorted(records, key=lambda record: record.instance)
    for instance, own in groupby(ordered, key=lambda record: record.instance):
        _write_instance(trace.process(instance), list(own))
    path.write_bytes(trace.serialize())


def _write_instance(process: Process, records: Sequence[Record]) -> None:
    steps = [record for record in records if isinstance(record, StepRecord)]
    if steps:
        _write_steps(process, sorted(steps, key=lambda step: step.start_ns))
    for request in spans_by_request(records):
        _write_request(process, request)


def _write_steps(process: Process, steps: Sequence[StepRecord]) -> None:
    track, batch = process.track("engine steps"), process.counter("batch size")
    for step in steps:
        track.begin(step.start_ns, step.phase, {"batch_size": step.batch_size, "tokens": step.tokens})
        track.end(step.end_ns)
        batch.set(step.start_ns, step.batch_size)
    counted = [(step.end_ns, step.pages_in_use) for step in steps if step.pages_in_use is not None]
    if counted:
        pages = process.counter("pages in use")
        for at_ns, in_use in counted:
            pages.set(at_ns, in_use)


def _write_request(process: Process, request: RequestSpans) -> None:
    """Slices of one track must nest, so an inner span is cut where the one around it ends."""
    track = process.track(f"request {request.request_id}")
    open_ends: list[int] = []
    for span in sorted(request.spans, key=_outer_first):
        while open_ends and open_ends[-1] <= span.start_ns:
            track.end(open_ends.pop())
        track.begin(span.start_ns, span.name, {"trace_id": span.trace_id, **span.attributes})
        open_ends.append(min([span.end_ns, *open_ends]))
    while open_ends:
        track.end(open_ends.pop())


def _outer_first(span: SpanRecord) -> tuple[int, int]:
    return span.start_ns, -span.end_ns
