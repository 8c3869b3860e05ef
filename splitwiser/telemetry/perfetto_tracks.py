"""Owns how processes, tracks, slices and counters are said in Perfetto's protobuf."""

from collections.abc import Iterator, Mapping
from itertools import count

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import DebugAnnotation, TracePacket, TrackDescriptor, TrackEvent
from perfetto.trace_builder.proto_builder import TraceProtoBuilder

from splitwiser.telemetry.records import Value

_SEQUENCE = 1
"""All packets come from one writer, in an order that Perfetto keeps for equal timestamps."""


class Track:
    """Slices, which begin and end in nested order."""

    def __init__(self, builder: TraceProtoBuilder, uuid: int) -> None:
        self._builder = builder
        self._uuid = uuid

    def begin(self, at_ns: int, name: str, arguments: Mapping[str, Value]) -> None:
        event = self._event(at_ns, TrackEvent.TYPE_SLICE_BEGIN)
        event.name = name
        for key, value in arguments.items():
            _annotate(event.debug_annotations.add(), key, value)

    def end(self, at_ns: int) -> None:
        """End the slice that began last."""
        self._event(at_ns, TrackEvent.TYPE_SLICE_END)

    def set(self, at_ns: int, value: int) -> None:
        """The value of a counter from here on."""
        self._event(at_ns, TrackEvent.TYPE_COUNTER).counter_value = value

    def _event(self, at_ns: int, type: TrackEvent.Type) -> TrackEvent:
        packet = self._builder.add_packet()
        packet.timestamp = at_ns
        packet.trusted_packet_sequence_id = _SEQUENCE
        packet.track_event.type = type
        packet.track_event.track_uuid = self._uuid
        return packet.track_event


class Process:
    """A group of tracks under one name."""

    def __init__(self, builder: TraceProtoBuilder, uuids: Iterator[int], name: str) -> None:
        self._builder = builder
        self._uuids = uuids
        descriptor = self._describe()
        self._uuid = descriptor.uuid
        # Real ids say nothing once the process is gone, and a restarted instance stays one row.
        descriptor.process.pid = self._uuid
        descriptor.process.process_name = name

    def track(self, name: str) -> Track:
        descriptor = self._describe(name)
        return Track(self._builder, descriptor.uuid)

    def counter(self, name: str) -> Track:
        descriptor = self._describe(name)
        descriptor.counter.SetInParent()
        return Track(self._builder, descriptor.uuid)

    def _describe(self, name: str = "") -> TrackDescriptor:
        packet = self._builder.add_packet()
        packet.trusted_packet_sequence_id = _SEQUENCE
        descriptor = packet.track_descriptor
        descriptor.uuid = next(self._uuids)
        if name:
            descriptor.name = name
            descriptor.parent_uuid = self._uuid
        return descriptor


class Trace:
    """A trace in the making."""

    def __init__(self) -> None:
        self._builder = TraceProtoBuilder()  # type: ignore[no-untyped-call]
        self._uuids = count(1)
        first = self._builder.add_packet()
        first.trusted_packet_sequence_id = _SEQUENCE
        first.sequence_flags = TracePacket.SEQ_INCREMENTAL_STATE_CLEARED

    def process(self, name: str) -> Process:
        return Process(self._builder, self._uuids, name)

    def serialize(self) -> bytes:
        return bytes(self._builder.serialize())


def _annotate(annotation: DebugAnnotation, name: str, value: Value) -> None:
    annotation.name = name
    if isinstance(value, bool):
        annotation.bool_value = value
    elif isinstance(value, int):
        annotation.int_value = value
    elif isinstance(value, float):
        annotation.double_value = value
    else:
        annotation.string_value = value if isinstance(value, str) else ", ".join(map(str, value))
