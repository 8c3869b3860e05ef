"""Owns the arithmetic of reports: quantiles, and how sure they are.

Quantiles are order statistics (nearest rank): always a value that was measured. Standard library only: the library's
core has no numpy. Intervals treat requests as independent of each other; under a queue they are not quite, so intervals
are a little too narrow. Tokens of one request are not treated as independent: see clustered_quantile.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TypeVar

RESAMPLES = 1000
# Work that the clustered bootstrap may do, in values looked at: about two seconds.
CLUSTERED_WORK = 20_000_000
NORMAL_975 = 1.959964

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def rank(count: int, probability: float) -> int:
    """1-based nearest rank: the smallest r with r / count >= probability. The nudge undoes 0.1 * 3 > 0.3."""
    return min(count, max(1, math.ceil(probability * count - 1e-9)))


def quantile(ordered: Sequence[Number], probability: float) -> Number:
    """The order statistic of an ascending, non-empty sequence."""
    return ordered[rank(len(ordered), probability) - 1]


def bootstrap_quantile(ordered: Sequence[float], probability: float, *, seed: int = 0) -> Estimate:
    """Quantile of independent values, with the percentile bootstrap's interval.

    Resampling n values and taking the k-th smallest picks the sorted value at index floor(n * U), U being the k-th
    smallest of n uniforms, which is Beta(k, n - k + 1): each resample is one draw, and exact (after Efron 1979).
    """
    count = len(ordered)
    place = rank(count, probability)
    draw = Random(seed).betavariate
    picks = sorted(min(count - 1, int(count * draw(place, count - place + 1))) for _ in range(RESAMPLES))
    return Estimate(ordered[place - 1], ordered[quantile(picks, 0.025)], ordered[quantile(picks, 0.975)])


def clustered_quantile(clusters: Sequence[Sequence[float]], probability: float, *, seed: int = 0) -> Estimate:
    """Quantile over all values of all clusters (the token gaps of requests), resampling whole clusters.

    Gaps of one request share its batch and its neighbours, so that resampling single gaps would claim far too much.
    """
    ordered = sorted((value, owner) for owner, values in enumerate(clusters) for value in values)
    owners = [owner for _, owner in ordered]
    random = Random(seed)
    resamples = max(50, min(RESAMPLES, CLUSTERED_WORK // len(ordered)))
    found = sorted(ordered[_resampled(owners, len(clusters), probability, random)][0] for _ in range(resamples))
    value = ordered[rank(len(ordered), probability) - 1][0]
    return Estimate(value, quantile(found, 0.025), quantile(found, 0.975))


def _resampled(owners: Sequence[int], clusters: int, probability: float, random: Random) -> int:
    """Index of the quantile when every value counts as often as its cluster was drawn."""
    times = [0] * clusters
    for drawn in random.choices(range(clusters), k=clusters):
        times[drawn] += 1
    running = list(accumulate(map(times.__getitem__, owners)))
    # Drawn clusters may all be empty; then any value is as good as another.
    return min(len(owners) - 1, bisect_left(running, max(1, rank(running[-1], probability))))


def proportion(hits: int, count: int) -> Estimate:
    """A share in [0, 1] with Wilson's interval, which stays inside it and is right for few and for all hits."""
    if count == 0:
        return Estimate(0.0, 0.0, 1.0)
    share, square = hits / count, NORMAL_975**2 / count
    middle = (share + square / 2) / (1 + square)
    half = NORMAL_975 * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))
