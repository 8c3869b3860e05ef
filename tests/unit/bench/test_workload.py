"""Workloads: changes do what they say and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from splitwiser.bench.workload import PlannedRequest, Workload

lengths = st.integers(1, 20_000)
workloads = st.lists(st.tuples(st.floats(0, 10), lengths, lengths), min_size=1, max_size=20).map(
    lambda rows: Workload(
        "drawn", tuple(PlannedRequest(a - min(r[0] for r in rows), p, o, i) for i, (a, p, o) in enumerate(sorted(rows)))
    )
)


@given(workloads, st.integers(2, 10_000))
def test_fitted_and_clipped_workloads_fit_and_keep_every_request(workload: Workload, max_tokens: int) -> None:
    for changed in (workload.fitted(max_tokens), workload.clipped(max_tokens)):
        assert len(changed) == len(workload)
        assert all(r.tokens <= max_tokens and r.prompt_tokens >= 1 and r.output_tokens >= 1 for r in changed)
        assert [r.arrival_s for r in changed] == [r.arrival_s for r in workload]


@given(workloads)
def test_lengths_that_fit_already_are_left_alone(workload: Workload) -> None:
    assert workload.fitted(40_000) == workload == workload.clipped(40_000)


def test_clipping_touches_only_requests_that_are_too_long() -> None:
    workload = Workload(
        "w", (PlannedRequest(0, 10, 10, 0), PlannedRequest(1, 500, 90, 1), PlannedRequest(2, 500, 9, 2))
    )
    assert [(r.prompt_tokens, r.output_tokens) for r in workload.clipped(100)] == [(10, 10), (50, 50), (91, 9)]


def test_at_rate_scales_gaps_alike() -> None:
    workload = Workload("w", tuple(PlannedRequest(t, 1, 1, 0) for t in (0.0, 1.0, 4.0)))
    assert workload.rate_per_s == 0.5
    assert [r.arrival_s for r in workload.at_rate(2.0)] == [0.0, 0.25, 1.0]
    assert workload.first(1).at_rate(2.0) == workload.first(1)
