"""The Perfetto file parses back into what the timeline said, in slices that nest."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackDescriptor, TrackEvent

from splitwiser.telemetry import names
from splitwiser.telemetry.perfetto import write_perfetto
from splitwiser.telemetry.records import Record, SpanRecord, StepRecord, Value
from tests.unit.telemetry.example import Run


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return Run(requests=12).play()


def written(records: list[Record], path: Path) -> tuple[dict[int, TrackDescriptor], dict[int, list[Any]]]:
    write_perfetto(records, path)
    trace = Trace()
    trace.ParseFromString(path.read_bytes())
    tracks = {
        packet.track_descriptor.uuid: packet.track_descriptor
        for packet in trace.packet
        if packet.HasField("track_descriptor")
    }
    events = defaultdict(list)
    for packet in trace.packet:
        if packet.HasField("track_event"):
            events[packet.track_event.track_uuid].append((packet.timestamp, packet.track_event))
    return tracks, events


def test_each_instance_is_a_process_with_its_tracks(records: list[Record], tmp_path: Path):
    tracks, _ = written(records, tmp_path / "run.pftrace")
    processes = {uuid: track.process.process_name for uuid, track in tracks.items() if track.HasField("process")}
    assert sorted(processes.values()) == ["decode-0", "prefill-0", "router"]
    children = defaultdict(set)
    for track in tracks.values():
        if track.parent_uuid:
            children[processes[track.parent_uuid]].add(track.name)
    assert children["router"] == {f"request demo-{number:03d}" for number in range(12)}
    assert {"engine steps", "batch size", "pages in use"} < children["prefill-0"]


def test_every_slice_that_begins_ends_later_and_inside_its_parent(records: list[Record], tmp_path: Path):
    _, events = written(records, tmp_path / "run.pftrace")
    begun = 0
    for track in events.values():
        open_starts: list[int] = []
        last_ns = 0
        for at_ns, event in track:
            assert at_ns >= last_ns or event.type == TrackEvent.TYPE_COUNTER
            last_ns = at_ns
            if event.type == TrackEvent.TYPE_SLICE_BEGIN:
                open_starts.append(at_ns)
                begun += 1
            elif event.type == TrackEvent.TYPE_SLICE_END:
                assert open_starts.pop() <= at_ns
        assert not open_starts
    assert begun == len(records)


def test_steps_carry_their_batch_and_counters_follow_them(records: list[Record], tmp_path: Path):
    tracks, events = written(records, tmp_path / "run.pftrace")
    steps = [record for record in records if isinstance(record, StepRecord) and record.instance == "decode-0"]
    process = next(uuid for uuid, track in tracks.items() if track.process.process_name == "decode-0")
    own = {track.name: events[uuid] for uuid, track in tracks.items() if track.parent_uuid == process}
    assert [event.counter_value for _, event in own["batch size"]] == [step.batch_size for step in steps]
    assert [event.counter_value for _, event in own["pages in use"]] == [step.pages_in_use for step in steps]
    first = own["engine steps"][0][1]
    assert {item.name: item.int_value for item in first.debug_annotations} == {"batch_size": 1, "tokens": 1}


def test_spans_that_overlap_are_cut_and_odd_attributes_survive(tmp_path: Path):
    attributes: dict[str, Value] = {names.REQUEST_ID: "r", "flag": True, "share": 0.5, "reasons": ("stop", "length")}
    outer = SpanRecord("outer", "t", "a", "", 100, 200, attributes, "router")
    late = SpanRecord("late", "t", "b", "a", 150, 250, {names.REQUEST_ID: "r"}, "router")
    _, events = written([late, outer], tmp_path / "run.pftrace")
    (track,) = events.values()
    assert [at_ns for at_ns, _ in track] == [100, 150, 200, 200]
    annotations = {item.name: item for item in track[0][1].debug_annotations}
    assert annotations["flag"].bool_value
    assert annotations["share"].double_value == 0.5
    assert annotations["reasons"].string_value == "stop, length"


def test_an_empty_run_is_a_valid_trace(tmp_path: Path):
    assert written([], tmp_path / "run.pftrace") == ({}, {})
