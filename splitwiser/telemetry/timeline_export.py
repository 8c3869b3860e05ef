"""Owns the way of a finished OpenTelemetry span into the local timeline."""

from collections.abc import Sequence
from typing import cast

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

from splitwiser.telemetry.records import SpanRecord, Value
from splitwiser.telemetry.timeline import TimelineWriter


class TimelineExporter(SpanExporter):
    """Hands spans to a timeline writer, which its owner closes."""

    def __init__(self, timeline: TimelineWriter) -> None:
        self._timeline = timeline

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._timeline.append(map(_record, spans))
        return SpanExportResult.SUCCESS


def _record(span: ReadableSpan) -> SpanRecord:
    context = span.get_span_context()
    assert context is not None
    return SpanRecord(
        name=span.name,
        trace_id=format_trace_id(context.trace_id),
        span_id=format_span_id(context.span_id),
        parent_id=format_span_id(span.parent.span_id) if span.parent else "",
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        attributes=cast("dict[str, Value]", dict(span.attributes or {})),
    )
