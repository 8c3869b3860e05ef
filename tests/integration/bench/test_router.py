"""The router's benchmark over real processes: everything that the report promises is measured."""

import json

import pytest

from splitwiser.bench.commands import RouterBenchOptions, bench_router


@pytest.mark.slow
async def test_the_router_is_measured() -> None:
    options = RouterBenchOptions(streams=16, warmup_s=0.5, window_s=3.0, idle_requests=10, paced_step_ms=20.0)
    report = await bench_router(options)
    fields = json.loads(report.to_json())
    assert report.paced
    assert fields["tokens_per_router_cpu_second"] > 1000
    assert fields["concurrent_streams"] == 16
    assert len(report.handoffs_ms) == 10
    assert 0 < fields["grant_to_first_step_ms_p50"] <= fields["grant_to_first_step_ms_p99"]
    # One message a token where the engine is no faster than the router; more together where the machine was.
    assert 1.0 <= report.paced.tokens_per_message < 2
    assert report.paced.router_cpu_s < report.paced.wall_s * 1.5
