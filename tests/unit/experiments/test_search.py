"""Later rounds look where the goal is lost, each side in its own bracket."""

from pathlib import Path

import pytest

from splitwiser.errors import ConfigurationError
from splitwiser.experiments.definition import ReplayPlan
from splitwiser.experiments.measure.replay import Replay, trace_of
from splitwiser.experiments.result import Sample
from splitwiser.experiments.schedule import count, tasks
from splitwiser.experiments.search import bracket, refined
from tests.unit.experiments.examples import REPLAY, definition, replayed


def plan(refine: int) -> ReplayPlan:
    return ReplayPlan.model_validate({**REPLAY, "refine": refine})


def rates(found: list[dict[str, float | str]]) -> list[float | str]:
    return [point["rate_per_s"] for point in found]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([(1, 1.0), (2, 0.95), (4, 0.5)], (2, 4)),
        ([(1, 1.0), (2, 0.5), (4, 1.0)], (1, 2)),
        ([(8, 0.5), (16, 0.2)], (4, 8)),
        ([(1, 1.0), (2, 1.0)], (2, 3)),
        ([(2, 1.0)], (2, 3)),
    ],
)
def test_the_bracket_is_where_the_share_is_lost_first(
    shares: list[tuple[float, float]], expected: tuple[float, float]
) -> None:
    assert bracket(shares, 0.9) == expected


def test_a_round_takes_the_ends_and_what_is_between() -> None:
    before = [replayed("one", 1.0, 20), replayed("one", 2.0, 20), replayed("one", 4.0, 5)]
    assert rates(refined(plan(3), before)) == [2.0, 3.0, 4.0]
    assert rates(refined(plan(1), before)) == [3.0]
    narrow = [*before, replayed("one", 2.25, 5)]
    assert rates(refined(plan(3), narrow)) == [2.0, 2.25], "rates closer than a step are one"


def test_each_side_goes_on_in_its_own_bracket_by_all_rounds_before() -> None:
    wanted = definition(plan={**REPLAY, "refine": 2}, repeats=3, aa_pairs=1)
    samples: list[Sample] = []
    seen: dict[tuple[str, int], list[float]] = {}
    for task in tasks(wanted, samples):
        rate = float(task.point["rate_per_s"])
        edge = 1.5 if task.side == "one" else 3.0
        made = replayed(task.side, rate, 20 if rate < edge else 0)
        samples.append(made.model_copy(update={"stage": task.stage, "repeat": task.repeat}))
        if task.stage == "compare":
            seen.setdefault((task.side, task.repeat), []).append(rate)
    assert seen["one", 0] == seen["split", 0] == [1.0, 2.0, 4.0]
    assert (seen["one", 1], seen["split", 1]) == ([1.0, 2.0], [2.0, 4.0])
    assert seen["one", 2] == [1.0, 2.0]
    assert count(wanted) == len(samples) == 2 + 6 + 4 + 4


def test_a_resumed_run_comes_to_the_same_tasks() -> None:
    wanted = definition(plan={**REPLAY, "refine": 3}, repeats=2, aa_pairs=1)
    samples: list[Sample] = []
    for task in tasks(wanted, samples):
        made = replayed(task.side, float(task.point["rate_per_s"]), 20 if task.point["rate_per_s"] != 4 else 0)
        samples.append(made.model_copy(update={"stage": task.stage, "repeat": task.repeat}))
    assert all(task.is_done(samples) for task in tasks(wanted, samples))


def test_rounds_that_look_closer_replay_what_the_first_one_did() -> None:
    """Or rates of different loads would be interpolated between."""
    wanted = definition(plan={**REPLAY, "refine": 2}, repeats=3)
    assert len({task.seed for task in tasks(wanted) if task.stage == "compare"}) == 1


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """600 requests, all of another length."""
    path = tmp_path / "trace.csv"
    rows = [f"{second},{100 + second},{20 + second}" for second in range(600)]
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]) + "\n")
    return path


def lengths(trace: Path, rate_per_s: float, seed: int, **changed: object) -> list[int]:
    """Of the prompts that are replayed."""
    plan = ReplayPlan.model_validate({**REPLAY, "trace": str(trace), "window_s": 4, **changed})
    return [request.prompt_tokens for request in Replay(plan).workload(rate_per_s, seed, 4096)]


def test_every_rate_of_a_round_replays_the_same_requests_and_each_round_others(trace: Path) -> None:
    """Or a rate would be easy or hard by the piece of the trace that fell to it."""
    first: dict[int, set[int]] = {}
    for task in tasks(definition(plan={**REPLAY, "trace": str(trace)}, repeats=2)):
        if task.stage == "compare":
            load = lengths(trace, float(task.point["rate_per_s"]), task.seed)
            first.setdefault(task.repeat, set()).add(load[0])
    assert [len(found) for found in first.values()] == [1, 1]
    assert first[0] != first[1]


@pytest.mark.parametrize("seed", [0, 1, 4, 1132])
def test_the_requests_of_a_seed_are_the_same_whatever_other_rates_a_plan_has(trace: Path, seed: int) -> None:
    """Or results of two plans would be compared, and a closer look be taken, at different loads."""
    few, many = (lengths(trace, 4, seed, rates_per_s=rates) for rates in ([1, 4], [4, 70]))
    assert few == many
    assert lengths(trace, 8, seed)[:16] == few, "above the plan's highest rate as well"


def test_a_trace_with_too_few_requests_is_refused_before_it_is_replayed(trace: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="has 600 requests, 300 of them after the first 300, and a rate needs 304"
    ):
        trace_of(ReplayPlan.model_validate({**REPLAY, "trace": str(trace), "window_s": 4, "rates_per_s": [4, 76]}))
