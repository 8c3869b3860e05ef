"""Owns the quantiles of what a timeline holds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of count values. All are values that were measured."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


def quantile(ordered: Sequence[float], probability: float) -> float:
    """The nearest rank of an ascending, non-empty sequence."""
    rank = math.ceil(probability * len(ordered) - 1e-9)
    return ordered[max(rank, 1) - 1]


def quantiles(values: Iterable[float]) -> Quantiles | None:
    """None of no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Quantiles(len(ordered), *(quantile(ordered, share) for share in (0.5, 0.9, 0.99, 1.0)))
