"""Owns logging: one line an event on stderr, with service, instance and trace, for our own code and for libraries.

Never prompt or completion text: events are fixed strings, fields that would carry content are withheld, and tracebacks
show no local variables.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Final, TextIO

import structlog
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.typing import EventDict, Processor, WrappedLogger

from splitwiser.config.schema import TelemetrySettings

CONTENT_FIELDS: Final = frozenset({"prompt", "completion", "text", "messages", "token_ids", "tokens_text", "stop"})
_CHATTY: Final = {"asyncio": logging.WARNING, "httpx": logging.WARNING, "urllib3": logging.WARNING}


def configure_logging(settings: TelemetrySettings, service: str, instance: str, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's logs to stream (stderr) as settings say. Call once a process."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Identity(service, instance),
        _add_trace,
        *([] if settings.record_content else [_withhold_content]),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings, handler)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    logging.captureWarnings(True)
    for name, level in _CHATTY.items():
        logging.getLogger(name).setLevel(max(level, root.level))


def _renderers(settings: TelemetrySettings, handler: "logging.StreamHandler[TextIO]") -> Sequence[Processor]:
    # structlog's own defaults for tracebacks print local variables, and those hold prompts.
    if settings.log_format == "json":
        return structlog.processors.format_exc_info, structlog.processors.JSONRenderer()
    colors = handler.stream.isatty()
    return (structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),)


class _Identity:
    """Says which service wrote the line."""

    def __init__(self, service: str, instance: str) -> None:
        self._fields = {"service": service, "instance": instance}

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.update(self._fields)
        return event


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format_trace_id(context.trace_id)
        event["span_id"] = format_span_id(context.span_id)
    return event


def _withhold_content(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.update(dict.fromkeys(CONTENT_FIELDS & event.keys(), "[withheld]"))
    return event
