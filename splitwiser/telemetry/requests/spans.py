"""Owns the gathering of a timeline's spans by request."""

from collections.abc import Iterable

from splitwiser.telemetry import names
from splitwiser.telemetry.records import Record, SpanRecord, Value


class RequestSpans:
    """The spans of one request. A phase that ran twice (a retry) reaches from its first start to its last end."""

    def __init__(self, request_id: str, trace_id: str) -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.spans: list[SpanRecord] = []

    def named(self, name: str) -> list[SpanRecord]:
        return [span for span in self.spans if span.name == name]

    def start_ns(self, name: str) -> int | None:
        return min((span.start_ns for span in self.named(name)), default=None)

    def end_ns(self, name: str) -> int | None:
        return max((span.end_ns for span in self.named(name)), default=None)

    def duration_ms(self, *named: str) -> float | None:
        """Time inside spans of these names, added up; None where there is none."""
        durations = [span.duration_ms for span in self.spans if span.name in named]
        return sum(durations) if durations else None

    def instance(self, name: str) -> str:
        return next((span.instance for span in self.named(name)), "")

    def attribute(self, name: str) -> Value | None:
        """The value on any span of the request."""
        return next((span.attributes[name] for span in self.spans if name in span.attributes), None)


def spans_by_request(records: Iterable[Record]) -> list[RequestSpans]:
    """Requests of the timeline, ordered by their first span. An id may come again in another trace."""
    requests: dict[tuple[str, str], RequestSpans] = {}
    for record in sorted(
        (record for record in records if isinstance(record, SpanRecord)), key=lambda span: span.start_ns
    ):
        if request_id := str(record.attributes.get(names.REQUEST_ID, "")):
            key = record.trace_id, request_id
            requests.setdefault(key, RequestSpans(request_id, record.trace_id)).spans.append(record)
    return list(requests.values())
