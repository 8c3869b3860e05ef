"""Owns the spans of one service: how they begin, end and fail, and which trace they belong to.

Nothing here is global: the services pass a Tracing around, and traces cross processes as W3C traceparent strings.
"""

import json
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from splitwiser.config.schema import TelemetrySettings
from splitwiser.errors import SplitwiserError
from splitwiser.telemetry import names
from splitwiser.telemetry.otlp import OtlpExport
from splitwiser.telemetry.timeline import TimelineWriter
from splitwiser.telemetry.timeline_export import TimelineExporter

_PROPAGATOR = TraceContextTextMapPropagator()
_TIMELINE_DELAY_MS = 300
_QUEUE_SPANS = 8192


def current_traceparent() -> str | None:
    """The current span as a W3C traceparent; None outside any span."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def context_from(traceparent: str) -> Context:
    """A parent for spans, of a W3C traceparent. A malformed one gives an empty context, which begins a new trace."""
    return _PROPAGATOR.extract({"traceparent": traceparent}, Context())


def outcome_of(error: BaseException) -> str:
    """The stable word for how a request failed: an error's reason, `cancelled`, or the class's name. Never its text."""
    if isinstance(error, CancelledError | GeneratorExit):
        return names.CANCELLED
    return error.reason if isinstance(error, SplitwiserError) else type(error).__name__


class Tracing:
    """Spans of one service instance, written to its timeline, and to a collector where settings.otlp_endpoint is set.

    Every span is kept, whatever the caller's sampling flag says: the timeline is complete.
    """

    def __init__(self, service: str, instance: str, settings: TelemetrySettings, timeline: TimelineWriter) -> None:
        resource = Resource.create(
            {
                "service.name": f"splitwiser-{service}",
                "service.namespace": "splitwiser",
                "service.instance.id": instance,
            }
        )
        provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._to_timeline = BatchSpanProcessor(
            TimelineExporter(timeline), max_queue_size=_QUEUE_SPANS, schedule_delay_millis=_TIMELINE_DELAY_MS
        )
        provider.add_span_processor(self._to_timeline)
        self._otlp = OtlpExport(settings.otlp_endpoint) if settings.otlp_endpoint else None
        if self._otlp:
            provider.add_span_processor(self._otlp.processor)
        self._tracer = provider.get_tracer("splitwiser")
        self._timeline = timeline
        self._records_content = settings.record_content

    @contextmanager
    def span(self, name: str, *, parent: Context | None = None, attributes: Attributes = None) -> Iterator[Span]:
        """A span around the block, current within it. parent None: a child of the current span.

        An exception marks the span with its outcome_of and goes on; its text, which may quote a prompt, is not kept.
        """
        span = self._tracer.start_span(name, parent, kind=_kind(name), attributes=attributes)
        token = attach(set_span_in_context(span))
        try:
            yield span
        except BaseException as error:
            mark_failed(span, outcome_of(error))
            raise
        finally:
            detach(token)
            span.end()

    def record(
        self, name: str, start_ns: int, end_ns: int, *, parent: Context | None = None, attributes: Attributes = None
    ) -> None:
        """A span for a phase that is over: start_ns and end_ns are wall clock."""
        span = self._tracer.start_span(name, parent, kind=_kind(name), attributes=attributes, start_time=start_ns)
        span.end(end_ns)

    def record_content(self, span: Span, prompt: str, completion: str) -> None:
        """Put the texts on the span where settings.record_content is on; otherwise do nothing."""
        if self._records_content:
            span.set_attribute(names.INPUT_MESSAGES, _message("user", prompt))
            span.set_attribute(names.OUTPUT_MESSAGES, _message("assistant", completion))

    def flush(self) -> None:
        """Bring ended spans to the timeline's file. Blocks: not for an event loop."""
        self._to_timeline.force_flush()
        self._timeline.flush()

    def shutdown(self) -> None:
        """Hand on what is left, to a collector for two seconds at most, and stop. Close the timeline afterwards."""
        self._to_timeline.shutdown()  # type: ignore[no-untyped-call]
        if self._otlp:
            self._otlp.shutdown()


def mark_failed(span: Span, outcome: str) -> None:
    """Say on a span that its phase failed, and how."""
    span.set_attribute(names.ERROR_TYPE, outcome)
    span.set_status(Status(StatusCode.ERROR, outcome))


def _message(role: str, text: str) -> str:
    """One message in the shape of OpenTelemetry's GenAI conventions."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)


def _kind(name: str) -> SpanKind:
    return SpanKind.SERVER if name in names.SERVER_SPANS else SpanKind.INTERNAL
