"""Owns the export of spans to an OpenTelemetry collector, and that neither a dead nor a hung one is felt by serving.

Exports run on the batch processor's thread with a short timeout; a bounded queue drops what does not get through; one
log line says when spans stop arriving and one when they arrive again.
"""

import logging
from collections.abc import Sequence
from threading import Timer

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

_log = logging.getLogger(__name__)

EXPORT_TIMEOUT_S = 2
SHUTDOWN_S = 2.0
_DELAY_MS = 1000
_QUEUE_SPANS = 4096
# Both would write a line for every failed export, the second one for every dropped span.
_NOISY = ("opentelemetry.exporter.otlp.proto.grpc.exporter", "opentelemetry.sdk._shared_internal")


class OtlpExport:
    """A batch processor that exports to endpoint, such as http://127.0.0.1:4317. Connects lazily."""

    def __init__(self, endpoint: str) -> None:
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S)
        self.processor = BatchSpanProcessor(
            _Watched(self._exporter, endpoint),
            max_queue_size=_QUEUE_SPANS,
            schedule_delay_millis=_DELAY_MS,
            export_timeout_millis=EXPORT_TIMEOUT_S * 1000,
        )

    def shutdown(self) -> None:
        """Export what is left, for SHUTDOWN_S at most: the processor alone waits for a hung collector once a batch."""
        limit = Timer(SHUTDOWN_S, self._exporter.shutdown)
        limit.start()
        self.processor.shutdown()  # type: ignore[no-untyped-call]
        limit.cancel()


class _Watched(SpanExporter):
    """Tells the log when exports begin to fail and when they work again."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._arriving = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        arriving = result is SpanExportResult.SUCCESS
        if arriving != self._arriving:
            self._arriving = arriving
            if arriving:
                _log.info("spans reach %s again", self._endpoint)
            else:
                _log.warning("spans do not reach %s; serving goes on without", self._endpoint)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
