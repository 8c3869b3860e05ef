"""Commands: options become the workload they describe, fitted only as asked, and wrong ones are refused."""

import json
from pathlib import Path

import pytest

from splitwiser.bench.commands import LoadOptions, bench_load, plan_workload
from splitwiser.errors import ConfigurationError
from tests.unit.bench.inference_server import TinyInference, serving

TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n0,100,3\n1,300,100\n2,5,2\n"


def test_a_trace_keeps_its_gaps_unless_a_rate_is_asked_for(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(TRACE)
    assert [r.arrival_s for r in plan_workload(LoadOptions("a", trace=trace))] == [0, 1, 2]
    assert [r.arrival_s for r in plan_workload(LoadOptions("a", trace=trace, rate_per_s=10))] == pytest.approx(
        [0, 0.1, 0.2]
    )
    assert len(plan_workload(LoadOptions("a", trace=trace, requests=2))) == 2


def test_without_a_trace_requests_are_generated() -> None:
    assert len(plan_workload(LoadOptions("a", requests=7, rate_per_s=100))) == 7


@pytest.mark.parametrize("rate_per_s", [0.0, -1.0, float("nan")])
def test_a_rate_that_cannot_be_is_refused(rate_per_s: float) -> None:
    with pytest.raises(ConfigurationError, match="rate_per_s"):
        plan_workload(LoadOptions("a", rate_per_s=rate_per_s))


async def test_load_fits_the_model_and_reports_every_request(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(TRACE)
    async with serving(TinyInference(), tmp_path) as address:
        result = await bench_load(LoadOptions(address, trace=trace, rate_per_s=1000))
    assert [r.prompt_tokens for r in result.records] == [100, 100, 5]
    assert [r.output_tokens for r in result.records] == [3, 100, 2]
    report = json.loads(result.to_json())
    assert (report["completed"], report["workload"], report["target"]) == (3, "trace", address)
    assert report["server_ms"]["grant_to_first_step_ms"]["p50"]["value"] == 2.5


async def test_more_tokens_than_the_model_takes_are_refused(tmp_path: Path) -> None:
    async with serving(TinyInference(), tmp_path) as address:
        with pytest.raises(ConfigurationError, match="max_tokens"):
            await bench_load(LoadOptions(address, requests=2, max_tokens=500))
