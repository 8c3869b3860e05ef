"""Owns goodput: the highest rate at which a share of requests keeps both limits, and which side has the highest.

Between the last rate at which the share holds and the first at which it does not, the crossing is interpolated
linearly. All requests of a rate's repeats are pooled. The interval comes from resampling blocks of BLOCK_S within each
rate (percentile bootstrap, 95 %): neighbours share a queue, so a request alone is no independent draw. All blocks of a
run share its luck, too: an interval is about this run's requests, and another run may fall outside. The ratio's
interval chooses the best side of each kind anew in every draw: that the best was picked by the same data is part of
what is not known. Draws in which no whole engine keeps the goal at any rate have no ratio.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from random import Random

from splitwiser.bench.statistics import Estimate, quantile
from splitwiser.experiments.definition import Definition, Goal, Limit, ReplayPlan
from splitwiser.experiments.measure.replay import is_good
from splitwiser.experiments.result import Goodput, Interval, Kept, KeptGoal, Result, Sample

RESAMPLES = 400
BLOCK_S = 2.0
METHOD = "highest rate, interpolated between rates; 95 % interval, of this run alone: bootstrap over blocks of 2 s"
Shares = list[tuple[float, float]]
"""Rate, and the share of its requests that were good; rising rates."""
Block = tuple[int, int]
"""Good requests, and all, that were sent within BLOCK_S."""
Marks = list[tuple[float, list[Block]]]
"""Rate and its blocks; rising rates."""


def add_goodput(result: Result) -> None:
    """Work goodput and its ratio out, if this was a replay: from the samples alone."""
    definition = result.defined
    plan = definition.plan
    if not isinstance(plan, ReplayPlan):
        return
    sides = definition.sides
    splits = [name for name, side in sides.items() if side.stack == "split"]
    single = [name for name, side in sides.items() if side.stack == "unsplit" and side.instances == 1]
    split, chunked = _best(result, plan.goal, splits), _best(result, plan.goal, single)
    ratio = _ratio(result, plan.goal, splits, single) if split and chunked and chunked.value else None
    rows = list(_rows(result, definition, plan))
    result.goodput = Goodput(method=METHOD, rows=rows, split=split, chunked=chunked, ratio=ratio)
    result.goodput_ratio_vs_chunked = ratio.value if ratio else None


def _rows(result: Result, definition: Definition, plan: ReplayPlan) -> Iterator[KeptGoal]:
    """A row for each pair of limits, share and side."""
    goals = [
        Goal(ttft_ms=limit.ttft_ms, tpot_ms=limit.tpot_ms, share=share)
        for limit in plan.limits
        for share in plan.shares
    ]
    for goal in goals if plan.goal in goals else [plan.goal, *goals]:
        for side in definition.sides:
            if kept := _kept(result, side, goal):
                group = definition.sides[side].group or side
                yield KeptGoal(**kept.model_dump(), **goal.model_dump(), group=group)


def rate_kept(result: Result, side: str, goal: Goal) -> Estimate | None:
    """The highest rate per second at which the side keeps the goal; 0 when not even the lowest. None: not measured."""
    marks = marks_of(result.of(side), goal)
    if not marks:
        return None
    value = crossing(shares_of(marks), goal.share)
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
        crossing(shares_of([(rate, draw(blocks, k=len(blocks))) for rate, blocks in marks]), share)
        for _ in range(RESAMPLES)
    ]


def shares_of(marks: Marks) -> Shares:
    """Rate and share of good requests."""
    counts = [(rate, sum(good for good, _ in blocks), sum(sent for _, sent in blocks)) for rate, blocks in marks]
    return [(rate, good / sent) for rate, good, sent in counts if sent]


def marks_of(samples: Iterable[Sample], limit: Limit) -> Marks:
    """Of one side's samples, over all repeats."""
    marks: dict[float, list[Block]] = {}
    for sample in samples:
        marks.setdefault(float(sample.point["rate_per_s"]), []).extend(_blocks(sample, limit))
    return sorted(marks.items())


def _blocks(sample: Sample, limit: Limit) -> list[Block]:
    blocks: dict[int, list[bool]] = {}
    for request in sample.requests:
        blocks.setdefault(int(request.sent_s // BLOCK_S), []).append(is_good(request, limit))
    return [(sum(each), len(each)) for each in blocks.values()]


def _best(result: Result, goal: Goal, sides: Sequence[str]) -> Kept | None:
    """Each kind at its best, tuned over the same rates."""
    found = [kept for side in sides if (kept := _kept(result, side, goal))]
    return max(found, key=lambda kept: kept.value, default=None)


def _kept(result: Result, side: str, goal: Goal) -> Kept | None:
    found = rate_kept(result, side, goal)
    if found is None:
        return None
    top = max(float(sample.point["rate_per_s"]) for sample in result.of(side))
    return Kept(side=side, **asdict(found), reached_top=found.value == top)


def _ratio(result: Result, goal: Goal, splits: Sequence[str], single: Sequence[str]) -> Interval:
    """The best of the ones over the best of the others."""
    # No two sides draw alike, or their luck would be shared.
    above, below = _best_draws(result, goal, splits, seed=1), _best_draws(result, goal, single, seed=1001)
    ratios = sorted(a / b for a, b in zip(above[1:], below[1:], strict=True) if b)
    return Interval(value=above[0] / below[0], low=quantile(ratios, 0.025), high=quantile(ratios, 0.975))


def _best_draws(result: Result, goal: Goal, sides: Sequence[str], *, seed: int) -> list[float]:
    """The highest rate of all sides: as measured, then in each draw."""
    marks = [(place, marks_of(result.of(side), goal)) for place, side in enumerate(sides, seed)]
    draws = [
        [crossing(shares_of(each), goal.share), *_resampled(each, goal.share, seed=place)]
        for place, each in marks
        if each
    ]
    return [max(rates) for rates in zip(*draws, strict=True)]
