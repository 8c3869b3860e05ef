"""Owns generated workloads: arrivals of a gamma process, lengths of a distribution given by a few of its quantiles.

The conversation lengths are those published for the conversation part of the Azure LLM inference trace 2023
(Patel et al., "Splitwise", ISCA 2024). Everything is drawn from the seed alone.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from random import Random

from splitwiser.bench.workload import PlannedRequest, Workload
from splitwiser.errors import ConfigurationError


@dataclass(frozen=True)
class Lengths:
    """A distribution of token counts that has these quantiles, the median among them, and this mean.

    Below the median the quantile function is linear between the points. Above, each piece rises as t ** bend, with the
    one bend that gives the mean: real lengths crowd above their median and have a thin tail.
    """

    mean: float
    quantiles: tuple[tuple[float, int], ...]

    @cached_property
    def bend(self) -> float:
        """Exponent of the pieces above the median: solves sum(width * (low + rise / (bend + 1))) == mean."""
        floor = slope = 0.0
        for (p_low, low), (p_high, high) in pairwise(self.quantiles):
            if p_high <= 0.5:
                floor += (p_high - p_low) * (low + high) / 2
            else:
                floor += (p_high - p_low) * low
                slope += (p_high - p_low) * (high - low)
        return slope / (self.mean - floor) - 1

    def at(self, probability: float) -> int:
        """The quantile function: tokens at a probability in [0, 1]."""
        piece = min(bisect_right(self.quantiles, probability, key=lambda point: point[0]), len(self.quantiles) - 1)
        (p_low, low), (p_high, high) = self.quantiles[piece - 1 : piece + 1]
        way = (probability - p_low) / (p_high - p_low)
        return round(low + (high - low) * (way if p_high <= 0.5 else way**self.bend))


CONVERSATION_CONTEXT = Lengths(mean=1155, quantiles=((0.0, 1), (0.5, 1020), (0.9, 2735), (1.0, 14050)))
CONVERSATION_GENERATED = Lengths(mean=211, quantiles=((0.0, 1), (0.5, 129), (0.9, 424), (1.0, 1000)))
CONVERSATION_RATE_PER_S = 19_366 / (58 * 60)


def generate(
    count: int,
    *,
    rate_per_s: float = CONVERSATION_RATE_PER_S,
    burstiness: float = 1.0,
    seed: int = 0,
    prompt: Lengths = CONVERSATION_CONTEXT,
    output: Lengths = CONVERSATION_GENERATED,
    name: str = "generated",
) -> Workload:
    """A workload of count requests. burstiness is the variance of the gaps over a Poisson process's: 1 is Poisson.

    Arrivals and lengths come from streams of their own: another rate keeps the lengths. Raises ConfigurationError.
    """
    for field, value in (("count", count), ("rate_per_s", rate_per_s), ("burstiness", burstiness)):
        if not value > 0:
            raise ConfigurationError(f"is {value}", field=field, help="more than 0")
    gaps, lengths = Random(f"arrivals {seed}"), Random(f"lengths {seed}")
    shape, scale = 1 / burstiness, burstiness / rate_per_s
    later = accumulate(gaps.gammavariate(shape, scale) for _ in range(count - 1))
    requests = (
        PlannedRequest(arrival_s, prompt.at(lengths.random()), output.at(lengths.random()), seed + index)
        for index, arrival_s in enumerate((0.0, *later))
    )
    return Workload(name, tuple(requests))
