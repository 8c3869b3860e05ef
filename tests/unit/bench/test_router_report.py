"""The router's report: the worse window is the figure, and hand-offs come as quantiles."""

import json

from splitwiser.bench.router.bench import RouterReport, Streamed


def streamed(tokens_per_router_cpu_second: float) -> Streamed:
    return Streamed(tokens_per_router_cpu_second, 100, 50, 2.0, 3, 100, 1.0, 0.5, 0.5)


def test_the_figure_is_the_worse_window() -> None:
    report = RouterReport(streamed(30_000.0), streamed(12_000.0), 64, (3.0, 1.0, 2.0))
    fields = json.loads(report.to_json())
    assert fields["tokens_per_router_cpu_second"] == fields["paced"]["tokens_per_router_cpu_second"] == 12_000
    assert fields["saturated"]["tokens_per_router_cpu_second"] == 30_000
    assert (fields["grant_to_first_step_ms_p50"], fields["grant_to_first_step_ms_p99"]) == (2, 3)
    assert fields["concurrent_streams"] == 64
    assert "\n" not in report.to_json()


def test_what_was_left_out_is_null() -> None:
    fields = json.loads(RouterReport(streamed(30_000.0), None, 64, ()).to_json())
    assert fields["tokens_per_router_cpu_second"] == 30_000
    assert (fields["paced"], fields["grant_to_first_step_ms_p50"]) == (None, None)
