"""Owns goodput: the highest rate at which a share of requests keeps both limits, and which side has the highest.

Between the last rate at which the share holds and the first at which it does not, the crossing is interpolated
linearly. All requests of a rate's repeats are pooled; the interval comes from resampling requests within each rate
(percentile bootstrap, 95 %). Requests of one run share its queue, so it is a little too narrow.
"""

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

from splitwiser.bench.statistics import Estimate, quantile
from splitwiser.experiments.definition import Definition, Goal, Limit, ReplayPlan
from splitwiser.experiments.measure.replay import is_good
from splitwiser.experiments.result import Result

RESAMPLES = 500
METHOD = "highest rate, interpolated between rates; 95 % interval: percentile bootstrap over requests within each rate"
Shares = list[tuple[float, float]]
"""Rate, and the share of its requests that were good; rising rates."""
Marks = list[tuple[float, list[bool]]]
"""Rate, and whether each of its requests was good; rising rates."""


def add_goodput(result: Result) -> None:
    """Work goodput and its ratio out, if this was a replay of all it should be."""
    definition = result.defined
    if not isinstance(definition.plan, ReplayPlan):
        return
    result.goodput = {"method": METHOD, "rows": goodput_rows(result, definition)}
    result.goodput["goal"] = _ratio(result, definition, definition.plan.goal)
    found = result.goodput["goal"].get("ratio")
    result.goodput_ratio_vs_chunked = found["value"] if found else None


def goodput_rows(result: Result, definition: Definition) -> list[dict[str, Any]]:
    """A row for each side, pair of limits and share."""
    assert isinstance(definition.plan, ReplayPlan)
    plan = definition.plan
    goals = [
        Goal(ttft_ms=limit.ttft_ms, tpot_ms=limit.tpot_ms, share=share)
        for limit in plan.limits
        for share in plan.shares
    ]
    if plan.goal not in goals:
        goals.insert(0, plan.goal)
    return [
        {
            "side": side,
            "group": definition.sides[side].group or side,
            **goal.model_dump(),
            **_plain(found),
            "reached_top": _reached_top(result, side, goal),
        }
        for goal in goals
        for side in definition.sides
        if (found := rate_kept(result, side, goal)) is not None
    ]


def rate_kept(result: Result, side: str, goal: Goal) -> Estimate | None:
    """The highest rate per second at which the side keeps the goal; 0 when not even the lowest. None: not measured."""
    marks = _marks(result, side, goal)
    if not marks:
        return None
    value = crossing(_shares(marks), goal.share)
    found = sorted(_resampled(marks, goal.share, seed=0))
    return Estimate(value, quantile(found, 0.025), quantile(found, 0.975))


def crossing(shares: Shares, share: float) -> float:
    """Where the share falls below for the first time; the highest rate measured when it never does."""
    if not shares or shares[0][1] < share:
        return 0.0
    for (low, good), (high, less) in pairwise(shares):
        if less < share:
            return low + (high - low) * (good - share) / (good - less)
    return shares[-1][0]


def _resampled(marks: Marks, share: float, *, seed: int) -> list[float]:
    """Crossings of resampled requests, in the order of the draws."""
    draw = Random(seed).choices
    return [
        crossing(_shares([(rate, draw(good, k=len(good))) for rate, good in marks]), share) for _ in range(RESAMPLES)
    ]


def _shares(marks: Marks) -> Shares:
    return [(rate, sum(good) / len(good)) for rate, good in marks]


def _marks(result: Result, side: str, limit: Limit) -> Marks:
    """By rate, rising: each request's verdict, over all repeats."""
    marks: dict[float, list[bool]] = {}
    for sample in result.of(side):
        verdicts = [is_good(request, limit) for request in sample.requests]
        marks.setdefault(float(sample.point["rate_per_s"]), []).extend(verdicts)
    return sorted(marks.items())


def _ratio(result: Result, definition: Definition, goal: Goal) -> dict[str, Any]:
    """The best split side over the best unsplit single engine: each at its best, tuned over the same rates."""
    split = _best(result, goal, [n for n, side in definition.sides.items() if side.stack == "split"])
    chunked = _best(
        result, goal, [n for n, side in definition.sides.items() if side.stack == "unsplit" and side.instances == 1]
    )
    said: dict[str, Any] = {"goal": goal.model_dump(), "split": split, "chunked": chunked}
    if split and chunked and chunked["value"]:
        said["ratio"] = _plain(_ratio_estimate(result, goal, split["side"], chunked["side"]))
    return said


def _best(result: Result, goal: Goal, sides: Sequence[str]) -> dict[str, Any] | None:
    found = {side: estimate for side in sides if (estimate := rate_kept(result, side, goal)) is not None}
    if not found:
        return None
    side = max(found, key=lambda name: found[name].value)
    return {"side": side, **_plain(found[side]), "reached_top": _reached_top(result, side, goal)}


def _reached_top(result: Result, side: str, goal: Goal) -> bool:
    """Whether the goal was kept up to the highest rate that was tried: what would come after it is not known."""
    marks = _marks(result, side, goal)
    return crossing(_shares(marks), goal.share) == max(result.definition["plan"]["rates_per_s"]) if marks else False


def _ratio_estimate(result: Result, goal: Goal, split: str, chunked: str) -> Estimate:
    above, below = (_marks(result, side, goal) for side in (split, chunked))
    draws = zip(_resampled(above, goal.share, seed=1), _resampled(below, goal.share, seed=2), strict=True)
    ratios = sorted(a / b for a, b in draws if b)
    value = crossing(_shares(above), goal.share) / crossing(_shares(below), goal.share)
    return Estimate(value, quantile(ratios, 0.025), quantile(ratios, 0.975))


def _plain(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
