"""Owns where a replay looks next: between the last rate at which a side keeps the goal and the first at which not.

The first round measures the plan's rates, each later one `refine` rates of each side's own bracket, ends included, by
all rounds before it. So GPU time goes where the answer is, the ends gather requests, and a bracket that chance had
moved moves back.
"""

from collections.abc import Sequence
from itertools import pairwise

from splitwiser.experiments.definition import Point, ReplayPlan
from splitwiser.experiments.goodput import marks_of, shares_of
from splitwiser.experiments.result import Sample

STEP_PER_S = 0.25
"""Rates are multiples of it, so that rounds and sides meet at the same ones."""


def bracket(shares: Sequence[tuple[float, float]], share: float) -> tuple[float, float]:
    """The rates between which the share is lost. Beyond what was measured, where it was kept nowhere, or everywhere."""
    if shares[0][1] < share:
        return shares[0][0] / 2, shares[0][0]
    for (low, _), (high, less) in pairwise(shares):
        if less < share:
            return low, high
    top = shares[-1][0]
    return top, top + (top - shares[-2][0] if len(shares) > 1 else top / 2)


def refined(plan: ReplayPlan, before: Sequence[Sample]) -> list[Point]:
    """The points of a side's next round. before: its samples of all earlier rounds."""
    shares = shares_of(marks_of(before, plan.goal))
    if not shares:
        return plan.points()[: plan.refine]
    low, high = bracket(shares, plan.goal.share)
    gaps = max(plan.refine - 1, 1)
    # Of one rate, the middle.
    places = [0.5] if plan.refine == 1 else [at / gaps for at in range(plan.refine)]
    rates = {max(STEP_PER_S, round((low + (high - low) * at) / STEP_PER_S) * STEP_PER_S) for at in places}
    return [{"rate_per_s": rate} for rate in sorted(rates)]
