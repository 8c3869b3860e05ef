"""A row says of a request what its spans and the engine steps say, and admits what it does not know."""

from typing import Any

import pytest

from splitwiser.telemetry import names
from splitwiser.telemetry.records import Record, SpanRecord, StepRecord
from splitwiser.telemetry.requests import UNFINISHED, request_rows, summary, trace_tree
from splitwiser.telemetry.requests.quantiles import quantile
from tests.unit.telemetry.example import MS, Run

RID = {names.REQUEST_ID: "r-1"}


def span(
    name: str, start_ms: float, end_ms: float, parent: str = "", instance: str = "", **attributes: Any
) -> SpanRecord:
    values = {**RID, **{key.replace("__", "."): value for key, value in attributes.items()}}
    return SpanRecord(name, "t-1", f"{name}@{start_ms}", parent, int(start_ms * MS), int(end_ms * MS), values, instance)


def step(start_ms: float, end_ms: float, instance: str = "decode-0") -> StepRecord:
    return StepRecord("decode", int(start_ms * MS), int(end_ms * MS), 1, 1, None, instance)


def one_request() -> list[Record]:
    root = span(names.REQUEST, 0, 50, instance="router", splitwiser__outcome="length")
    top = root.span_id
    return [
        root,
        span(names.QUEUE, 1, 3, top, "router"),
        span(names.PREFILL_QUEUE, 3, 4, top, "prefill-0"),
        span(names.PREFILL_CHUNK, 4, 9, top, "prefill-0"),
        span(names.PREFILL_CHUNK, 9, 12, top, "prefill-0"),
        span(names.GRANT, 12, 13, top, "prefill-0"),
        span(names.DECODE_QUEUE, 14, 15, top, "decode-0"),
        span(names.FIRST_STEP, 16, 20, top, "decode-0"),
        span(names.DECODE_STEPS, 20, 40, top, "decode-0"),
        *(step(start, start + 4) for start in (8, 12, 16, 20, 26, 36, 40)),
        *(step(start, start + 1, "decode-1") for start in range(0, 50, 2)),
    ]


def test_durations_are_those_of_the_phases():
    (row,) = request_rows(one_request())
    assert (row.queue_ms, row.prefill_ms, row.handoff_ms, row.decode_queue_ms, row.decode_ms, row.total_ms) == (
        *(3, 8, 7, 1, 24, 50),
    )
    assert row.ttft_ms == 12
    assert row.outcome == "length"


def test_what_a_service_measured_itself_wins():
    values: dict[str, Any] = {names.TTFT_S: 0.0125, names.HANDOFF_MS: 6.5}
    records = [*one_request(), span("finish", 49, 50, **values)]
    (row,) = request_rows(records)
    assert (row.ttft_ms, row.handoff_ms) == (12.5, 6.5)


def test_token_gaps_are_between_the_steps_of_its_own_worker_and_begin_with_the_handoff():
    (row,) = request_rows(one_request())
    # Token 0 at 12, then steps that end at 20, 24, 30 and 40.
    assert row.token_gaps_ms == (4, 6, 8, 10)
    assert (row.itl_p50_ms, row.itl_p99_ms) == (6, 10)


def test_phases_follow_each_other_from_queue_to_decode():
    (row,) = request_rows(one_request())
    assert [phase.name for phase in row.phases] == ["queue", "queue", "prefill", "handoff", "decode"]
    assert [phase.instance for phase in row.phases] == ["router", "prefill-0", "prefill-0", "decode-0", "decode-0"]
    assert [(phase.start_ns // MS, phase.end_ns // MS) for phase in row.phases] == [
        *((1, 3), (3, 4), (4, 12), (12, 20), (20, 40)),
    ]


def test_a_request_whose_router_was_killed_has_a_row_without_an_end():
    (row,) = request_rows([span(names.PREFILL_QUEUE, 3, 4), span(names.PREFILL_CHUNK, 4, 9)])
    assert (row.outcome, row.total_ms, row.ttft_ms, row.itl_p50_ms) == (UNFINISHED, None, None, None)
    assert row.prefill_ms == 5


def test_a_failed_attempt_below_a_good_end_is_not_the_outcome():
    records = [span(names.PREFILL, 2, 3, **{names.ERROR_TYPE: "WORKER_LOST"}), *one_request()]
    assert request_rows(records)[0].outcome == "length"


def test_requests_of_one_trace_stay_apart_and_an_id_may_come_again():
    first, second = span(names.REQUEST, 0, 1), span(names.REQUEST, 5, 9)
    other = SpanRecord(names.REQUEST, "t-1", "x", "", 2 * MS, 3 * MS, {names.REQUEST_ID: "r-2"})
    again = SpanRecord(names.REQUEST, "t-2", "y", "", second.start_ns, second.end_ns, RID)
    rows = request_rows([again, first, other])
    assert [(row.request_id, row.trace_id) for row in rows] == [("r-1", "t-1"), ("r-2", "t-1"), ("r-1", "t-2")]


def test_spans_of_no_request_are_nobodys():
    assert request_rows([SpanRecord("start-up", "t", "s", "", 0, 1)]) == []


def test_the_tree_lists_parents_before_children_and_siblings_by_time():
    nodes = trace_tree(one_request(), "r-1")
    assert [(node.depth, node.name) for node in nodes][:4] == [
        *((0, names.REQUEST), (1, names.QUEUE), (1, names.PREFILL_QUEUE), (1, names.PREFILL_CHUNK)),
    ]
    assert (nodes[1].start_ms, nodes[1].duration_ms) == (1, 2)


def test_children_of_a_lost_parent_stay_in_the_tree():
    nodes = trace_tree([span(names.CLAIM, 2, 3, "gone"), span(names.FIRST_STEP, 3, 4, "gone")], "r-1")
    assert [(node.depth, node.name) for node in nodes] == [(0, names.CLAIM), (0, names.FIRST_STEP)]


def test_an_unknown_id_has_no_tree():
    assert trace_tree(one_request(), "r-9") == []


def test_a_whole_run_adds_up():
    rows = request_rows(Run(requests=40).play())
    assert len(rows) == 40
    for row in rows:
        assert row.completion_tokens is not None
        assert len(row.token_gaps_ms) == row.completion_tokens - 1
        assert sum(row.token_gaps_ms) == pytest.approx((row.phases[-1].end_ns - row.phases[-3].end_ns) / MS)
    found = summary(rows)
    assert list(found) == ["TTFT", "ITL", "Hand-off", "Queue", "Prefill", "Total"]
    assert found["TTFT"].count == 40
    assert found["ITL"].count == sum((row.completion_tokens or 0) - 1 for row in rows)


def test_a_run_without_tokens_has_no_quantile_of_them():
    assert list(summary(request_rows([span(names.REQUEST, 0, 5)]))) == ["Total"]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 2), (0.51, 3), (0.99, 4), (1.0, 4)])
def test_quantiles_are_values_that_were_measured(share: float, expected: float):
    assert quantile([1, 2, 3, 4], share) == expected
