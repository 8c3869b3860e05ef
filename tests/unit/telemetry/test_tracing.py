"""One trace from router to decode, complete on disk, and never a word of the prompt in it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from splitwiser.config.schema import TelemetrySettings
from splitwiser.errors import StaleHandle
from splitwiser.telemetry import names
from splitwiser.telemetry.records import SpanRecord
from splitwiser.telemetry.timeline import TimelineWriter, read_timeline, timeline_path
from splitwiser.telemetry.tracing import Tracing, context_from, current_traceparent

RID = {names.REQUEST_ID: "r-1"}
SECRET = "the patient's name is"


@contextmanager
def tracing_of(run_dir: Path, instance: str, **settings: Any) -> Iterator[Tracing]:
    timeline = TimelineWriter(timeline_path(run_dir, instance))
    tracing = Tracing(instance.partition("-")[0], instance, TelemetrySettings(**settings), timeline)
    yield tracing
    tracing.shutdown()
    timeline.close()


def spans_of(run_dir: Path) -> dict[str, SpanRecord]:
    return {record.name: record for record in read_timeline(run_dir) if isinstance(record, SpanRecord)}


def test_one_request_is_one_trace_across_three_services(tmp_path: Path):
    with (
        tracing_of(tmp_path, "router") as router,
        tracing_of(tmp_path, "prefill-0") as prefill,
        tracing_of(tmp_path, "decode-0") as decode,
        router.span(names.REQUEST, attributes=RID),
    ):
        traceparent = current_traceparent()
        assert traceparent
        with prefill.span(names.PREFILL, parent=context_from(traceparent), attributes=RID):
            now_ns = time.time_ns()
            prefill.record(names.PREFILL_CHUNK, now_ns - 1000, now_ns, attributes=RID)
        with decode.span(names.DECODE, parent=context_from(traceparent), attributes=RID):
            pass
    spans = spans_of(tmp_path)
    root = spans[names.REQUEST]
    assert len({span.trace_id for span in spans.values()}) == 1
    assert root.parent_id == ""
    assert spans[names.PREFILL].parent_id == spans[names.DECODE].parent_id == root.span_id
    assert spans[names.PREFILL_CHUNK].parent_id == spans[names.PREFILL].span_id
    assert spans[names.PREFILL_CHUNK].instance == "prefill-0"
    assert all(span.attributes[names.REQUEST_ID] == "r-1" for span in spans.values())


def test_a_phase_that_is_over_is_recorded_with_its_own_times(tmp_path: Path):
    with tracing_of(tmp_path, "decode-0") as tracing:
        tracing.record(names.CLAIM, 1_000, 5_000, attributes={**RID, names.PAGES: 3})
    span = spans_of(tmp_path)[names.CLAIM]
    assert (span.start_ns, span.end_ns, span.attributes[names.PAGES]) == (1_000, 5_000, 3)


@pytest.mark.parametrize("header", ["", "x", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "00-zz-zz-01", "é" * 55])
def test_a_malformed_traceparent_begins_a_new_trace(tmp_path: Path, header: str):
    with (
        tracing_of(tmp_path, "router") as tracing,
        tracing.span("outer"),
        tracing.span(names.REQUEST, parent=context_from(header)),
    ):
        pass
    spans = spans_of(tmp_path)
    assert spans[names.REQUEST].parent_id == ""
    assert spans[names.REQUEST].trace_id != spans["outer"].trace_id


def test_a_caller_that_does_not_sample_is_in_the_timeline_all_the_same(tmp_path: Path):
    with tracing_of(tmp_path, "router") as tracing:
        parent = context_from(f"00-{'a' * 32}-{'b' * 16}-00")
        with tracing.span(names.REQUEST, parent=parent):
            pass
    assert spans_of(tmp_path)[names.REQUEST].trace_id == "a" * 32


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StaleHandle(SECRET, help=SECRET), "STALE_HANDLE"),
        (asyncio.CancelledError(), names.CANCELLED),
        (ValueError(SECRET), "ValueError"),
    ],
)
def test_a_failure_is_named_but_its_text_is_not_kept(tmp_path: Path, error: BaseException, outcome: str):
    with tracing_of(tmp_path, "decode-0") as tracing, pytest.raises(type(error)), tracing.span(names.DECODE):
        raise error
    assert spans_of(tmp_path)[names.DECODE].attributes == {names.ERROR_TYPE: outcome}
    assert SECRET not in timeline_path(tmp_path, "decode-0").read_text()


@pytest.mark.parametrize("switched_on", [False, True])
def test_content_is_recorded_only_where_it_is_switched_on(tmp_path: Path, switched_on: bool):
    with tracing_of(tmp_path, "router", record_content=switched_on) as tracing, tracing.span(names.REQUEST) as span:
        tracing.record_content(span, SECRET, "Ada")
    assert (SECRET in timeline_path(tmp_path, "router").read_text()) == switched_on


def test_outside_any_span_there_is_nothing_to_pass_on():
    assert current_traceparent() is None


async def test_tasks_of_one_loop_do_not_see_each_others_span(tmp_path: Path):
    with tracing_of(tmp_path, "router") as tracing:

        async def handle() -> str | None:
            with tracing.span(names.REQUEST):
                await asyncio.sleep(0)
                return current_traceparent()

        found = await asyncio.gather(*(handle() for _ in range(10)))
    assert len(set(found)) == 10


def test_without_an_endpoint_no_exporter_runs(tmp_path: Path):
    before = set(threading.enumerate())
    with tracing_of(tmp_path, "router"):
        # The timeline's own writer, and the batch processor that feeds it.
        assert len(set(threading.enumerate()) - before) == 2


def test_flush_makes_ended_spans_readable(tmp_path: Path):
    timeline = TimelineWriter(timeline_path(tmp_path, "router"), flush_s=60)
    tracing = Tracing("router", "router", TelemetrySettings(), timeline)
    tracing.record(names.QUEUE, 1, 2)
    tracing.flush()
    assert names.QUEUE in spans_of(tmp_path)
    tracing.shutdown()
    timeline.close()
