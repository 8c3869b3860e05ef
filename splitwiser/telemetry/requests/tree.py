"""Owns one request's spans as a tree: what `splitwiser trace` shows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from splitwiser.telemetry.records import Record, SpanRecord, Value
from splitwiser.telemetry.requests.spans import spans_by_request


@dataclass(frozen=True, slots=True)
class TraceNode:
    """A span of the request: how deep it is nested, and when it began, in ms after the request's first span."""

    depth: int
    name: str
    instance: str
    start_ms: float
    duration_ms: float
    attributes: Mapping[str, Value]


def trace_tree(records: Iterable[Record], request_id: str) -> list[TraceNode]:
    """The request's spans, each before its children, siblings in order of time; empty for an unknown id.

    An id that was used again shows its latest request.
    """
    found = [request.spans for request in spans_by_request(records) if request.request_id == request_id]
    return list(_nodes(found[-1])) if found else []


def _nodes(spans: Sequence[SpanRecord]) -> Iterator[TraceNode]:
    known = {span.span_id for span in spans}
    children: dict[str, list[SpanRecord]] = {}
    for span in spans:
        # A parent that was lost with its process, or is the client's own, leaves its children at the top.
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    origin_ns = spans[0].start_ns

    def walk(parent_id: str, depth: int) -> Iterator[TraceNode]:
        for span in children.get(parent_id, ()):
            start_ms = (span.start_ns - origin_ns) / 1e6
            yield TraceNode(depth, span.name, span.instance, start_ms, span.duration_ms, span.attributes)
            yield from walk(span.span_id, depth + 1)

    return walk("", 0)
