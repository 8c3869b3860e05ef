"""Figures of a recovery: what was not seen has no figure, and a silence that did not end is not forgotten."""

from splitwiser.bench.records import OK, Outcome, RequestRecord
from splitwiser.experiments.measure.recovery import figures


def request(sent_s: float, finished_s: float, status: str = OK) -> RequestRecord:
    return RequestRecord(0, "r", sent_s, sent_s, finished_s, 8, Outcome(status, ""))


BEFORE = [request(0.0, 0.5), request(0.5, 1.0)]
FAULT_S = 1.0


def test_times_count_from_the_fault_to_the_first_answer_of_a_later_request() -> None:
    later = [request(0.9, 2.0), request(1.1, 4.0), request(1.2, 3.5)]
    found = figures(BEFORE + later, FAULT_S, ready_s=1.5)
    assert (found["back"], found["ready_s"], found["answered_s"]) == (1.0, 1.5, 2.5)
    assert (found["longest_silence_s"], found["failed_requests"], found["completed_share"]) == (1.5, 0.0, 1.0)


def test_what_did_not_come_back_has_no_time() -> None:
    found = figures([*BEFORE, request(1.5, 9.0, "UNAVAILABLE")], FAULT_S, ready_s=None)
    assert found["back"] == 0.0
    assert not {"ready_s", "answered_s"} & set(found)
    assert found["failed_after_fault"] == 1.0


def test_a_silence_lasts_to_the_end_of_the_last_request() -> None:
    found = figures([*BEFORE, request(1.5, 9.0, "UNAVAILABLE")], FAULT_S, ready_s=None)
    assert found["longest_silence_s"] == 8.0
    assert figures([request(0.0, 9.0, "UNAVAILABLE")], FAULT_S, ready_s=None)["longest_silence_s"] == 9.0


def test_an_answer_to_an_earlier_request_is_not_one_after_the_fault() -> None:
    assert "answered_s" not in figures([*BEFORE, request(0.9, 2.0)], FAULT_S, ready_s=0.5)
