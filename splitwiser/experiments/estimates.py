"""Owns how sure a figure of several repeats is: the percentile bootstrap over repeats, and the A/A run's noise band.

A ratio is taken round by round, since the sides of a round are neighbours in time, and its median is the estimate. The
bootstrap resamples rounds (Efron 1979, percentile interval, 95 %). Two or three rounds can say little: then the
interval is the range of what was seen, and of one round there is none.
"""

from collections.abc import Sequence
from random import Random
from statistics import median

from splitwiser.bench.statistics import Estimate, quantile
from splitwiser.experiments.definition import Point
from splitwiser.experiments.result import Result

RESAMPLES = 2000
METHOD = "median over rounds; 95 % interval: percentile bootstrap over rounds"


def estimate(values: Sequence[float], *, seed: int = 0) -> Estimate:
    """Median with its interval; one value has itself as both ends."""
    draw = Random(seed).choices
    found = sorted(median(draw(values, k=len(values))) for _ in range(RESAMPLES if len(values) > 1 else 1))
    return Estimate(median(values), quantile(found, 0.025), quantile(found, 0.975))


def side_estimate(result: Result, side: str, point: Point, metric: str) -> Estimate | None:
    """Of all repeats; None when none has it."""
    values = [s.metrics[metric] for s in result.of(side, point=point) if metric in s.metrics]
    return estimate(values) if values else None


def ratio(result: Result, side: str, point: Point, metric: str) -> Estimate | None:
    """side over the reference, round by round. None without a round that has both."""
    reference = _by_round(result, str(result.definition["reference"]), point, metric)
    own = _by_round(result, side, point, metric)
    ratios = [own[r] / reference[r] for r in own if reference.get(r)]
    return estimate(ratios) if ratios else None


def noise_band(result: Result, metric: str) -> tuple[float, float] | None:
    """The widest ratio within the A/A pairs, and its reciprocal: which of a pair came first is chance.

    A ratio inside the band says nothing. None where the A/A run lacks the metric.
    """
    values = [s.metrics.get(metric) for s in result.samples if s.stage == "aa"]
    pairs = zip(values[::2], values[1::2], strict=False)
    ratios = [b / a for a, b in pairs if a and b]
    if not ratios:
        return None
    widest = max(max(each, 1 / each) for each in ratios)
    return 1 / widest, widest


def points_of(result: Result) -> list[Point]:
    """Every point that was measured, in order; rates rise, whichever round had them."""
    seen: list[Point] = []
    for sample in result.samples:
        if sample.stage == "compare" and sample.point not in seen:
            seen.append(sample.point)
    return sorted(seen, key=lambda point: float(point.get("rate_per_s", 0.0)))


def metrics_of(result: Result) -> list[str]:
    """Every metric's name, in order of first sight."""
    return list(dict.fromkeys(name for sample in result.samples for name in sample.metrics))


def _by_round(result: Result, side: str, point: Point, metric: str) -> dict[int, float]:
    return {s.repeat: s.metrics[metric] for s in result.of(side, point=point) if metric in s.metrics}
