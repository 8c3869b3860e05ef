"""The judge: any difference in tokens, length or end is a mismatch, and so is any error."""

import json
from dataclasses import replace

import pytest

from splitwiser.bench.verify.answers import Answer
from splitwiser.bench.verify.cases import GREEDY, Case
from splitwiser.bench.verify.judge import Expected, FoundMismatch, Judge
from splitwiser.bench.verify.report import Handoff, ModelResult, VerifyReport

CASE = Case("greedy-0", (1, 2, 3), 4)
SEEDED = replace(CASE, name="seeded-0", sampling=replace(GREEDY, temperature=1.0))

EXPECTED = {"greedy-0": Expected([5, 6, 7, 8], "LENGTH"), "seeded-0": Expected([1, 2], "LENGTH")}


def judge(*, fail_fast: bool = False) -> Judge:
    return Judge("m", EXPECTED, fail_fast=fail_fast)


def test_the_right_answer_passes() -> None:
    taken = judge()
    taken.take(Answer(CASE, [5, 6, 7, 8], "LENGTH"))
    assert (taken.mismatches, taken.greedy_requests(), taken.handed_over()) == ([], 1, [CASE])


@pytest.mark.parametrize(
    ("tokens", "end", "position"),
    [
        ([5, 6, 0, 8], "LENGTH", 2),
        ([5, 6, 7], "LENGTH", 3),
        ([5, 6, 7, 8, 9], "LENGTH", 4),
        ([5, 6, 7, 8], "STOP", 4),
        ([5], "WORKER_LOST: gone", 1),
        ([], "UNSPECIFIED", 0),
    ],
)
def test_any_difference_is_a_mismatch(tokens: list[int], end: str, position: int) -> None:
    taken = judge()
    taken.take(Answer(CASE, tokens, end))
    (found,) = taken.mismatches
    assert (found.position, found.got_end, found.request) == (position, end, "greedy-0")
    assert found.expected == (5, 6, 7, 8)[position : position + 3]
    assert found.got == tuple(tokens[position : position + 3])


def test_a_drawing_is_counted_apart() -> None:
    taken = judge()
    for tokens in ([1, 2], [1, 2], [1, 3]):
        taken.take(Answer(SEEDED, tokens, "LENGTH"))
    assert [found.position for found in taken.seeded_mismatches] == [1]
    assert (taken.mismatches, taken.greedy_requests()) == ([], 0)


def test_fail_fast_ends_at_the_first_mismatch() -> None:
    with pytest.raises(FoundMismatch):
        judge(fail_fast=True).take(Answer(CASE, [], "LENGTH"))


def result(**changes: object) -> ModelResult:
    handoff = Handoff(pages=10, pages_expected=10, bytes_copied=0)
    passed = ModelResult("m", 200, 40, (), (), weight_copies=1, weight_bytes=100, handoff=handoff)
    return replace(passed, **changes)  # type: ignore[arg-type]


def test_a_report_passes_only_if_everything_holds() -> None:
    taken = judge()
    taken.take(Answer(CASE, [], "LENGTH"))
    wrong = tuple(taken.mismatches)
    assert VerifyReport("sim", (result(), result()), 1.0, False).passed
    for changes in (
        {"mismatches": wrong},
        {"seeded_mismatches": wrong},
        {"weight_copies": 2},
        {"weight_copies": 0},
        {"handoff": Handoff(10, 10, 4096)},
        {"handoff": Handoff(9, 10, 0)},
        {"handoff": Handoff(11, 10, 0)},
        {"handoff": Handoff(9, 10, 0, again=1)},
        {"handoff": Handoff(11, 10, 4096, again=1)},
    ):
        assert not VerifyReport("sim", (result(), result(**changes)), 1.0, False).passed
    assert not VerifyReport("sim", (), 1.0, False).passed


def test_pages_of_requests_that_gave_way_may_be_handed_over_again() -> None:
    for pages in (10, 11):
        assert result(handoff=Handoff(pages, 10, 0, again=1)).passed


def test_a_report_is_one_json_object_on_one_line() -> None:
    text = VerifyReport("sim", (result(), result(weight_copies=2)), 1.0, False).to_json()
    assert "\n" not in text
    fields = json.loads(text)
    expected = {"mismatches": 0, "seeded_mismatches": 0, "requests": 400, "weight_copies": 2, "handoff_bytes_copied": 0}
    assert expected.items() <= fields.items()
    assert fields["models"] == ["m", "m"]
