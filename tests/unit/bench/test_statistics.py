"""Statistics: against values known by hand, against a plain bootstrap, and for coverage."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitwiser.bench.statistics import bootstrap_quantile, clustered_quantile, proportion, quantile

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
probabilities = st.floats(0.01, 1.0)


def test_quantiles_are_nearest_rank() -> None:
    ordered = [float(v) for v in range(1, 101)]
    assert [quantile(ordered, p) for p in (0.01, 0.5, 0.9, 0.99, 1.0)] == [1, 50, 90, 99, 100]
    assert quantile([7.0], 0.99) == 7
    assert quantile([float(v) for v in range(1, 11)], 0.1 * 3) == 3


@given(values, probabilities)
def test_a_quantile_is_the_smallest_value_that_reaches_the_share(drawn: list[float], probability: float) -> None:
    found = quantile(sorted(drawn), probability)
    assert found in drawn
    assert sum(v <= found for v in drawn) >= probability * len(drawn) - 1e-6
    assert sum(v < found for v in drawn) < probability * len(drawn) + 1e-6


@given(values, probabilities)
def test_an_interval_holds_its_value_and_stays_within_the_data(drawn: list[float], probability: float) -> None:
    for found in (
        bootstrap_quantile(sorted(drawn), probability),
        clustered_quantile([[v] for v in drawn], probability),
    ):
        assert min(drawn) <= found.low <= found.high <= max(drawn)
        assert found.value == quantile(sorted(drawn), probability)


def test_one_draw_from_beta_is_one_resample() -> None:
    random = Random(5)
    data = sorted(random.expovariate(1) for _ in range(200))
    plain = sorted(quantile(sorted(random.choices(data, k=200)), 0.9) for _ in range(2000))
    found = bootstrap_quantile(data, 0.9)
    spread = plain[1950] - plain[50]
    assert found.low == pytest.approx(plain[50], abs=spread / 4)
    assert found.high == pytest.approx(plain[1950], abs=spread / 4)


def test_intervals_hold_the_true_median_about_19_times_in_20() -> None:
    random = Random(11)
    hits = 0
    for _ in range(300):
        found = bootstrap_quantile(sorted(random.expovariate(1) for _ in range(100)), 0.5)
        hits += found.low <= math.log(2) <= found.high
    assert 270 <= hits <= 297


def test_values_that_move_together_make_the_interval_wider() -> None:
    random = Random(2)
    clusters = [[level + random.gauss(0, 0.01) for _ in range(50)] for level in (random.gauss(0, 1) for _ in range(30))]
    together = clustered_quantile(clusters, 0.5)
    alone = bootstrap_quantile(sorted(v for cluster in clusters for v in cluster), 0.5)
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_empty_clusters_are_no_values() -> None:
    assert clustered_quantile([[], [], [3.0], []], 0.9).value == 3


def test_proportions_have_wilsons_interval() -> None:
    half = proportion(50, 100)
    assert (half.value, half.low, half.high) == pytest.approx((0.5, 0.4038, 0.5962), abs=1e-4)
    every = proportion(20, 20)
    assert (every.value, every.low, every.high) == pytest.approx((1.0, 0.8389, 1.0), abs=1e-4)
    assert proportion(0, 0).high == 1
