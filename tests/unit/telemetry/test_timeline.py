"""The timeline's promises: nothing waits for it, it stays bounded, and a killed writer leaves it readable."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitwiser.engine.base import StepSpan
from splitwiser.errors import StartupError
from splitwiser.telemetry.records import SpanRecord, StepRecord, from_line, to_line
from splitwiser.telemetry.timeline import TimelineWriter, read_timeline, timeline_path


def a_span(name: str = "queue", start_ns: int = 10) -> SpanRecord:
    return SpanRecord(name, "a" * 32, "b" * 16, "", start_ns, start_ns + 5, {"splitwiser.request_id": "r"})


def test_spans_and_steps_come_back_as_written(tmp_path: Path):
    writer = TimelineWriter(timeline_path(tmp_path, "prefill-0"))
    writer.append([a_span(start_ns=20)])
    writer.step("prefill", StepSpan(1, 4, 64), 2, ["r"], pages_in_use=7)
    writer.close()
    step, span = read_timeline(tmp_path)
    assert isinstance(span, SpanRecord)
    assert step == StepRecord("prefill", 1, 4, 2, 64, 7, "prefill-0")
    assert (span.name, span.start_ns, span.attributes) == ("queue", 20, {"splitwiser.request_id": "r"})
    assert span.instance == "prefill-0"


def test_records_of_all_instances_are_ordered_by_start_and_old_ones_can_be_left_out(tmp_path: Path):
    for instance, start_ns in (("decode-0", 30), ("router", 10)):
        writer = TimelineWriter(timeline_path(tmp_path, instance))
        writer.append([a_span(start_ns=start_ns)])
        writer.close()
    assert [record.instance for record in read_timeline(tmp_path)] == ["router", "decode-0"]
    assert [record.instance for record in read_timeline(tmp_path, since_ns=16)] == ["decode-0"]


def test_a_run_without_timeline_has_no_records(tmp_path: Path):
    assert read_timeline(tmp_path) == []


def test_a_cut_line_is_skipped_and_does_not_swallow_the_next_process_record(tmp_path: Path):
    path = timeline_path(tmp_path, "decode-0")
    path.parent.mkdir()
    path.write_text(to_line(a_span("claim")) + to_line(a_span())[:40])
    writer = TimelineWriter(path)
    writer.append([a_span("first_step")])
    writer.close()
    records = [record for record in read_timeline(tmp_path) if isinstance(record, SpanRecord)]
    assert [record.name for record in records] == [
        "claim",
        "first_step",
    ]


WRITE_FOREVER = """
import sys, time
from pathlib import Path
from splitwiser.engine.base import StepSpan
from splitwiser.telemetry.timeline import TimelineWriter
writer = TimelineWriter(Path(sys.argv[1]))
while True:
    now_ns = time.time_ns()
    print(now_ns, flush=True)
    writer.step("decode", StepSpan(now_ns, now_ns, 1), 1)
    time.sleep(0.002)
"""


def test_sigkill_loses_less_than_a_second(tmp_path: Path):
    path = timeline_path(tmp_path, "decode-0")
    with subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        steps_ns = [int(process.stdout.readline())]
        undisturbed_since_ns = steps_ns[0]
        while steps_ns[-1] - undisturbed_since_ns < 1.5e9:
            steps_ns.append(int(process.stdout.readline()))
            if steps_ns[-1] - steps_ns[-2] > 0.1e9:
                undisturbed_since_ns = steps_ns[-1]
        os.kill(process.pid, signal.SIGKILL)
        steps_ns += map(int, process.stdout.read().splitlines())
    kept_ns = [record.start_ns for record in read_timeline(tmp_path)]
    assert kept_ns == steps_ns[: len(kept_ns)]
    assert steps_ns[-1] - kept_ns[-1] < 1e9


def test_files_stay_bounded_and_keep_the_newest_records(tmp_path: Path):
    writer = TimelineWriter(timeline_path(tmp_path, "decode-0"), max_bytes=4000)
    for number in range(200):
        writer.step("decode", StepSpan(number, number + 1, 1), 1)
        writer.flush()
    writer.close()
    sizes = [path.stat().st_size for path in (tmp_path / "timeline").iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= 4000
    starts = [record.start_ns for record in read_timeline(tmp_path)]
    assert starts == list(range(starts[0], 200))


def test_a_writer_that_falls_behind_drops_and_counts_instead_of_growing(tmp_path: Path):
    writer = TimelineWriter(timeline_path(tmp_path, "decode-0"), flush_s=60, max_pending=10)
    writer.append(a_span() for _ in range(25))
    writer.close()
    assert writer.dropped == 15
    assert len(read_timeline(tmp_path)) == 10


def test_a_full_disk_costs_records_and_nothing_else(caplog: pytest.LogCaptureFixture):
    writer = TimelineWriter(Path("/dev/full"), flush_s=60)
    for _ in range(3):
        writer.append([a_span()])
        writer.flush()
    writer.close()
    assert writer.dropped == 3
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_be_made_stops_the_start_with_help(tmp_path: Path):
    (tmp_path / "timeline").write_text("in the way")
    with pytest.raises(StartupError, match="help: give run_dir write access"):
        TimelineWriter(timeline_path(tmp_path, "router"))


def test_an_attribute_json_cannot_say_does_not_stop_the_writer(tmp_path: Path):
    writer = TimelineWriter(timeline_path(tmp_path, "router"))
    writer.append([SpanRecord("queue", "t", "s", "", 1, 2, {"odd": b"bytes"})])
    writer.append([a_span()])
    writer.close()
    assert len(read_timeline(tmp_path)) == 2


ids = st.text(max_size=40)
times = st.integers(0, 2**63)
spans = st.builds(
    SpanRecord,
    *(ids, ids, ids, ids, times, times),
    st.dictionaries(ids, st.one_of(ids, st.booleans(), st.integers(), st.lists(ids))),
)
steps = st.builds(StepRecord, ids, times, times, st.integers(0), st.integers(0), st.none() | st.integers(0))


@given(st.one_of(spans, steps))
def test_every_record_survives_its_line(record: SpanRecord | StepRecord):
    line = to_line(record)
    assert line.count("\n") == 1
    assert from_line(line, "") == record


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.binary() | st.dictionaries(st.sampled_from(["step", "span", "start_ns", "x"]), json_values).map(json.dumps))
def test_no_line_whatever_makes_the_reader_fail(line: bytes | str):
    from_line(line, "router")


def test_a_step_costs_the_event_loop_microseconds(tmp_path: Path):
    writer = TimelineWriter(timeline_path(tmp_path, "decode-0"), flush_s=60)
    began = time.thread_time()
    for _ in range(10_000):
        writer.step("decode", StepSpan(1, 2, 1), 1, ("r",))
    took_us = (time.thread_time() - began) / 10_000 * 1e6
    writer.close()
    assert took_us < 20
