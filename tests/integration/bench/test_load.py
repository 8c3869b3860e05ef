"""Open-loop load against a real stack: every request completes, and the server's phases come along."""

from splitwiser.bench.commands import LoadOptions, bench_load
from tests.support.stack import running_stack


async def test_load_over_a_real_stack() -> None:
    with running_stack() as stack:
        result = await bench_load(LoadOptions(stack.address, requests=60, rate_per_s=60, max_tokens=500))
        await stack.assert_nothing_is_left()
    report = result.report
    assert report.completed == report.requests == 60
    assert report.outcomes == {"OK LENGTH": 60}
    assert report.ttft_ms
    assert report.ttft_ms.p50.low <= report.ttft_ms.p50.value <= report.ttft_ms.p50.high
    assert {"queue_ms", "prefill_ms", "grant_to_first_step_ms"} <= report.server_ms.keys()
