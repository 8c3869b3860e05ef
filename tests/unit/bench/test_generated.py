"""Generated workloads: the published quantiles, the rate asked for, and nothing but the seed."""

from itertools import pairwise
from statistics import mean, quantiles, variance

import pytest

from splitwiser.bench.generated import CONVERSATION_CONTEXT, CONVERSATION_GENERATED, Lengths, generate
from splitwiser.errors import ConfigurationError

PUBLISHED = [(CONVERSATION_CONTEXT, 1155, 1020, 2735, 14050), (CONVERSATION_GENERATED, 211, 129, 424, 1000)]


@pytest.mark.parametrize(("lengths", "average", "p50", "p90", "most"), PUBLISHED)
def test_conversation_lengths_have_the_published_quantiles_and_mean(
    lengths: Lengths, average: int, p50: int, p90: int, most: int
) -> None:
    assert [lengths.at(p) for p in (0.0, 0.5, 0.9, 1.0)] == [1, p50, p90, most]
    drawn = [lengths.at((i + 0.5) / 100_000) for i in range(100_000)]
    assert mean(drawn) == pytest.approx(average, rel=0.005)
    assert drawn == sorted(drawn)


def test_a_large_workload_looks_like_the_trace() -> None:
    workload = generate(20_000, seed=3)
    prompts = quantiles([r.prompt_tokens for r in workload], n=10)
    outputs = quantiles([r.output_tokens for r in workload], n=10)
    assert [prompts[4], prompts[8], outputs[4], outputs[8]] == pytest.approx([1020, 2735, 129, 424], rel=0.05)
    assert workload.rate_per_s == pytest.approx(19_366 / (58 * 60), rel=0.05)


@pytest.mark.parametrize("burstiness", [0.5, 1.0, 4.0])
def test_gaps_have_the_rate_and_the_burstiness_asked_for(burstiness: float) -> None:
    arrivals = [r.arrival_s for r in generate(20_000, rate_per_s=10, burstiness=burstiness)]
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert mean(gaps) == pytest.approx(0.1, rel=0.05)
    assert variance(gaps) == pytest.approx(burstiness * 0.01, rel=0.15)


def test_the_seed_alone_decides_and_a_rate_keeps_the_lengths() -> None:
    assert generate(50, seed=1) == generate(50, seed=1) != generate(50, seed=2)
    slow, fast = generate(50, rate_per_s=1), generate(50, rate_per_s=10)
    assert [r.tokens for r in slow] == [r.tokens for r in fast]
    assert slow.duration_s > fast.duration_s


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"rate_per_s": 0.0}, {"burstiness": -1.0}, {"rate_per_s": float("nan")}]
)
def test_impossible_settings_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        generate(**{"count": 5, **wrong})  # type: ignore[arg-type]
