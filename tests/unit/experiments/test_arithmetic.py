"""The order of measurements, and what is worked out of them: estimates, noise, goodput, comparisons."""

import pytest

from splitwiser.errors import ConfigurationError
from splitwiser.experiments.compare import compare, differences
from splitwiser.experiments.definition import Goal, Point
from splitwiser.experiments.estimates import estimate, noise_band, ratio, side_estimate
from splitwiser.experiments.goodput import add_goodput, crossing, rate_kept
from splitwiser.experiments.result import Result
from splitwiser.experiments.schedule import tasks
from tests.unit.experiments.examples import REPLAY, definition, replayed, result, sample

POINT: Point = {"prompt_tokens": 64, "output_tokens": 8, "batch": 1}
GOAL = Goal(ttft_ms=100, tpot_ms=10, share=0.9)


def test_the_noise_is_measured_first_and_sides_take_turns() -> None:
    order = [(task.stage, task.side) for task in tasks(definition())]
    aa, first, second = [("aa", "one")] * 2, [("compare", "one"), ("compare", "split")], []
    second = first[::-1]
    assert order == aa + first * 2 + second * 2


def test_started_one_after_the_other_each_side_is_measured_at_all_points_at_once() -> None:
    made = [(task.side, task.point["batch"]) for task in tasks(definition(start="each")) if task.repeat == 0][1:]
    assert made == [("one", 1), ("one", 2), ("split", 1), ("split", 2)]


def test_a_round_has_one_seed_and_no_two_measurements_a_salt() -> None:
    """So all of a round ask for the same lengths at the same times, and none finds another's prompts in a cache."""
    made = [task for task in tasks(definition(repeats=3)) if task.stage == "compare"]
    assert len({(task.repeat, task.seed) for task in made}) == len({task.seed for task in made}) == 3
    assert len({task.salt for task in made}) == len(made)


def test_both_of_an_aa_pair_have_one_seed() -> None:
    aa = [task.seed for task in tasks(definition(aa_pairs=2)) if task.stage == "aa"]
    assert aa[0] == aa[1] != aa[2] == aa[3]


def test_an_estimate_has_its_values_within_its_interval() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 100.0])
    assert found.low <= found.value == 3.0 <= found.high <= 100.0
    assert found == estimate([1.0, 2.0, 3.0, 4.0, 100.0])
    alone = estimate([7.0])
    assert (alone.low, alone.value, alone.high) == (7.0, 7.0, 7.0)


def test_a_ratio_is_taken_within_each_round() -> None:
    drifting = [
        sample(side, repeat, metrics={"total_s": value * (1 + 9 * repeat)})
        for repeat in range(3)
        for side, value in (("one", 2.0), ("split", 1.0))
    ]
    found = ratio(result(drifting), "split", POINT, "total_s")
    assert found
    assert (found.low, found.value, found.high) == (0.5, 0.5, 0.5)


def test_the_noise_band_holds_the_widest_pair_both_ways() -> None:
    pairs = [1.0, 1.1, 1.0, 0.8]
    made = result([sample("one", i, stage="aa", metrics={"total_s": v}) for i, v in enumerate(pairs)])
    assert noise_band(made, "total_s") == pytest.approx((0.8, 1.25))
    assert noise_band(made, "other") is None
    assert side_estimate(made, "one", POINT, "total_s") is None, "an A/A sample is no sample of the comparison"


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([(1, 1.0), (2, 1.0), (4, 0.8)], 3.0),
        ([(1, 0.9), (2, 0.5)], 1.0),
        ([(1, 0.5), (2, 1.0)], 0.0),
        ([(1, 1.0), (2, 0.95)], 2.0),
        ([(1, 1.0), (2, 0.8), (4, 1.0)], 1.5),
        ([], 0.0),
    ],
)
def test_goodput_is_where_the_share_falls_for_the_first_time(
    shares: list[tuple[float, float]], expected: float
) -> None:
    assert crossing(shares, 0.9) == pytest.approx(expected)


def replay(split: list[int], one: list[int]) -> Result:
    sides = {"one": one, "split": split}
    samples = [
        replayed(side, rate, good)
        for side, goods in sides.items()
        for rate, good in zip((1.0, 2.0, 4.0), goods, strict=True)
    ]
    return result(samples, plan=REPLAY)


def test_the_ratio_is_the_split_over_the_best_unsplit_side() -> None:
    made = replay(split=[20, 20, 20], one=[20, 20, 0])
    add_goodput(made)
    kept = rate_kept(made, "one", GOAL)
    assert kept
    assert kept.value == pytest.approx(2.2)
    assert made.goodput
    assert made.goodput_ratio_vs_chunked == pytest.approx(4 / 2.2)
    split, chunked = made.goodput.split, made.goodput.chunked
    assert split
    assert chunked
    assert (split.side, split.reached_top, chunked.reached_top) == ("split", True, False)


def test_several_tunings_of_one_engine_count_by_the_best() -> None:
    sides = {"one": {"stack": "unsplit"}, "tuned": {"stack": "unsplit"}, "split": {"stack": "split"}}
    goods = {"one": [20, 0, 0], "tuned": [20, 20, 0], "split": [20, 20, 0]}
    samples = [
        replayed(side, rate, good) for side, each in goods.items() for rate, good in zip((1, 2, 4), each, strict=True)
    ]
    made = result(samples, plan=REPLAY, sides=sides)
    add_goodput(made)
    assert made.goodput
    assert made.goodput.chunked
    assert made.goodput.chunked.side == "tuned"
    assert made.goodput_ratio_vs_chunked == pytest.approx(1.0)


def test_the_ratios_interval_chooses_the_best_side_in_every_draw() -> None:
    sides = {"one": {"stack": "unsplit"}, "split": {"stack": "split"}, "equal": {"stack": "split"}}
    samples = [replayed(side, rate, good, of=60) for side in sides for rate, good in ((1.0, 60), (2.0, 54), (4.0, 12))]
    found = []
    for names in (("one", "split"), tuple(sides)):
        chosen = [each for each in samples if each.side in names]
        made = result(chosen, plan=REPLAY, sides={name: sides[name] for name in names})
        add_goodput(made)
        assert made.goodput
        assert made.goodput.ratio
        assert made.goodput.ratio.value == pytest.approx(1.0)
        found.append(made.goodput.ratio)
    alone, among = found
    assert alone.low < 1.0 < alone.high
    assert among.low > alone.low, "the better of two is seldom unlucky"


def test_a_side_that_keeps_the_goal_nowhere_gives_no_ratio() -> None:
    made = replay(split=[20, 20, 20], one=[0, 0, 0])
    add_goodput(made)
    assert made.goodput_ratio_vs_chunked is None


def test_a_request_without_a_first_token_is_not_good() -> None:
    made = replay(split=[20, 20, 20], one=[20, 20, 20])
    for request in made.samples[0].requests[:5]:
        request.ttft_ms = None
    kept = rate_kept(made, "one", GOAL)
    assert kept
    assert kept.value == 0.0


def test_a_comparison_tells_a_change_from_noise() -> None:
    a, b, c = (
        result([sample("one", i, metrics={"total_s": v}) for i, v in enumerate(values)])
        for values in ([1.0, 1.1, 0.9], [1.0, 1.05, 0.95], [2.0, 2.1, 1.9])
    )
    assert [row.noise for row in compare(a, b)] == [True]
    (row,) = compare(a, c)
    assert row.noise is None, "nothing tells how far two runs of the same differ"
    assert row.ratio == pytest.approx(2.0)
    for each in (a, c):
        each.samples += [sample("one", turn, stage="aa", metrics={"total_s": 1 + 0.1 * turn}) for turn in range(2)]
    assert [row.noise for row in compare(a, c)] == [False]


def test_a_comparison_of_replays_begins_with_their_goodput() -> None:
    a, b = result([], plan=REPLAY), result([], plan=REPLAY)
    for made, edge in ((a, 2.0), (b, 4.0)):
        made.samples = [replayed("one", rate, 20 if rate <= edge else 0) for rate in (1.0, 2.0, 4.0)]
        add_goodput(made)
    first = compare(a, b)[0]
    assert (first.metric, first.side, first.point["share"]) == ("goodput_per_s", "one", 0.9)
    assert first.a.value == pytest.approx(2.2)
    assert first.b.value == 4.0


def test_two_experiments_are_not_compared() -> None:
    a, b = result([sample("one")]), result([sample("one")])
    b.experiment = "another"
    with pytest.raises(ConfigurationError, match="two experiments"):
        compare(a, b)
    b = result([])
    with pytest.raises(ConfigurationError, match="no side and point in common"):
        compare(a, b)


def test_what_else_differs_is_told() -> None:
    a, b = result([sample("one")]), result([sample("one")], repeats=5)
    b.versions = {**b.versions, "torch": "9.9"}
    b.definition["plan"]["requests"] = 7
    assert "the definitions, in repeats, plan.requests" in differences(a, b)
    assert any(line.endswith("-> 9.9") for line in differences(a, b))
