"""Owns what one line of a timeline says: a span, or a step of an engine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Value = str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A finished span, on the wall clock. Ids are lower-case hex; parent_id is empty at the root of a trace."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value] = field(default_factory=dict)
    instance: str = ""

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of an engine. pages_in_use is None where the service does not count them."""

    phase: str
    start_ns: int
    end_ns: int
    batch_size: int
    tokens: int
    pages_in_use: int | None = None
    instance: str = ""

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


Record = SpanRecord | StepRecord


def to_line(record: Record) -> str:
    """One JSON object and a line feed. The instance is the file's name and is not repeated."""
    fields = _step_fields(record) if isinstance(record, StepRecord) else _span_fields(record)
    return json.dumps(fields, separators=(",", ":"), default=str) + "\n"


def _step_fields(step: StepRecord) -> dict[str, object]:
    return {
        "step": step.phase,
        "start_ns": step.start_ns,
        "end_ns": step.end_ns,
        "batch_size": step.batch_size,
        "tokens": step.tokens,
        "pages_in_use": step.pages_in_use,
    }


def _span_fields(span: SpanRecord) -> dict[str, object]:
    return {
        "span": span.name,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
        "attributes": dict(span.attributes),
    }


def from_line(line: str | bytes, instance: str) -> Record | None:
    """The record of a line; None for a cut or foreign one, which a killed writer may leave."""
    try:
        fields = json.loads(line)
        if "step" in fields:
            return StepRecord(phase=fields.pop("step"), instance=instance, **fields)
        return SpanRecord(name=fields.pop("span"), instance=instance, **fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
