"""Reports: latencies as `vllm bench serve` defines them, and nothing left out."""

import io
import json

import pytest
from rich.console import Console

from splitwiser.bench.records import Arrived, Outcome, RequestRecord
from splitwiser.bench.report import Limits, summarise
from splitwiser.bench.table import report_table, requests_table
from splitwiser.bench.workload import PlannedRequest, Workload

OK = Outcome("OK", "LENGTH")


def record(index: int = 0, *arrived: tuple[float, int], outcome: Outcome = OK, sent_s: float = 1.0) -> RequestRecord:
    messages = tuple(Arrived(at_s, tokens) for at_s, tokens in arrived)
    finished_s = messages[-1].at_s + 0.1 if messages else sent_s
    return RequestRecord(index, f"r{index}", 1.0, sent_s, finished_s, 10, outcome, messages, {"queue_ms": 4.0})


def workload(count: int) -> Workload:
    return Workload("w", tuple(PlannedRequest(float(i), 10, 5, i) for i in range(count)))


def test_latencies_follow_their_definitions() -> None:
    one = record(0, (1.5, 1), (1.6, 1), (1.9, 3))
    assert one.ttft_s == 0.5
    assert one.itl_s == pytest.approx((0.1, 0.3))
    assert one.tpot_s == pytest.approx(0.4 / 4)
    assert one.e2e_s == pytest.approx(0.9)
    assert (one.output_tokens, one.lateness_s) == (5, 0)


def test_a_request_without_tokens_has_no_latency_and_one_of_one_token_no_tpot() -> None:
    assert (record().ttft_s, record().tpot_s, record().e2e_s, record().itl_s) == (None, None, None, ())
    assert record(0, (1.2, 1)).tpot_s is None
    assert record(0, (1.2, 1)).meets(ttft_s=0.3, tpot_s=0.0)


def test_goodput_counts_every_request_that_was_sent() -> None:
    refused = record(3, outcome=Outcome("RESOURCE_EXHAUSTED", "OVERLOADED"))
    records = [record(0, (1.1, 1), (1.2, 1)), record(1, (2.1, 1), (2.2, 1)), record(2, (1.1, 1), (1.9, 1)), refused]
    report = summarise(workload(4), records, limits=Limits(ttft_ms=200, tpot_ms=150))
    assert report.goodput.share.value == 0.25
    assert report.goodput.requests_per_s.value == pytest.approx(1 / report.duration_s)
    assert report.outcomes == {"OK LENGTH": 3, "RESOURCE_EXHAUSTED OVERLOADED": 1}
    assert (report.requests, report.completed, report.output_tokens) == (4, 3, 6)


def test_a_late_generator_is_reported() -> None:
    report = summarise(workload(2), [record(0, (1.5, 1)), record(1, (1.5, 1), sent_s=1.25)])
    assert report.late_share == 0.5
    assert report.lateness_ms is not None
    assert report.lateness_ms.max == 250
    assert "sent over 10 ms late" in shown(report_table(report))


def test_a_report_is_one_json_object_on_one_line_even_of_nothing() -> None:
    for records in ([], [record(outcome=Outcome("UNAVAILABLE", "WORKER_LOST"))], [record(0, (1.5, 1), (1.6, 1))]):
        report = summarise(workload(len(records)), records, target="127.0.0.1:1")
        assert "\n" not in report.to_json()
        parsed = json.loads(report.to_json())
        assert parsed["schema"] == "splitwiser.load/1"
        assert parsed["versions"]["python"]
        assert shown(report_table(report))
        assert shown(requests_table(records))


def test_the_table_shows_latencies_with_intervals_and_phases_of_the_server() -> None:
    report = summarise(workload(2), [record(0, (1.5, 1), (1.6, 1)), record(1, (1.5, 1), (1.8, 1))])
    text = shown(report_table(report))
    assert "TTFT" in text
    assert "router queue" in text
    assert "100 (100-300)" in text


def shown(table: object) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
