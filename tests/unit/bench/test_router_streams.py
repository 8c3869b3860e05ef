"""The router benchmark's client: streams stay full, and what is counted is what came in the window."""

import os
from pathlib import Path

import pytest

from splitwiser.bench.router.streams import Counts, Plan, measure
from splitwiser.errors import SplitwiserError
from tests.unit.bench.inference_server import TinyInference, serving


def plan(address: str, streams: int = 4) -> Plan:
    return Plan(
        address=address,
        router_pid=os.getpid(),
        streams=streams,
        warmup_s=0.2,
        window_s=1.0,
        prompt_tokens=8,
        output_tokens=20,
        idle_requests=3,
    )


async def test_every_stream_is_followed_by_the_next(tmp_path: Path) -> None:
    servicer = TinyInference(gap_s=0.005)
    async with serving(servicer, tmp_path) as address:
        window = await measure(plan(address))
    assert window.handoffs_ms == [2.5, 2.5, 2.5]
    assert window.counts.requests >= 4
    assert window.counts.tokens > 20 * window.counts.requests / 2
    assert window.counts.messages == window.counts.tokens
    assert window.counts.text_chars == window.counts.tokens
    assert window.wall_s > 0.95
    assert 0 < window.router_cpu_s <= window.wall_s * 2


async def test_a_stream_that_fails_ends_the_measurement(tmp_path: Path) -> None:
    with pytest.raises(SplitwiserError):
        await measure(plan(f"unix:{tmp_path}/nobody.sock"))


def test_a_window_is_what_was_added() -> None:
    assert Counts(5, 4, 3, 2).since(Counts(1, 1, 1, 1)) == Counts(4, 3, 2, 1)
