"""Owns the trace context's way across gRPC metadata (W3C traceparent).

OpenTelemetry's own aio client interceptor swallows cancellation of unary calls, so these two functions replace it.
"""

from typing import Any

from opentelemetry.context import Context

from splitwiser.telemetry.tracing import context_from, current_traceparent

KEY = "traceparent"


def outgoing_metadata() -> tuple[tuple[str, str], ...]:
    """Metadata that makes the callee's spans children of the current one; empty outside any span."""
    traceparent = current_traceparent()
    return ((KEY, traceparent),) if traceparent else ()


def incoming_context(context: Any) -> Context | None:
    """The caller's span as a parent for this call's spans; None without one."""
    for key, value in context.invocation_metadata() or ():
        if key == KEY:
            return context_from(str(value))
    return None
