"""Open-loop load: arrivals wait for nothing, outcomes are recorded, and nothing is left in flight."""

import asyncio
from pathlib import Path

import pytest

from splitwiser.bench.load import LoadRun, Silent
from splitwiser.bench.workload import PlannedRequest, Workload
from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2, sampling_pb2
from tests.unit.bench.inference_server import TinyInference, serving


def build(index: int, planned: PlannedRequest) -> inference_pb2.GenerateRequest:
    return inference_pb2.GenerateRequest(
        request_id=f"r{index}",
        token_ids=inference_pb2.TokenIds(ids=range(planned.prompt_tokens)),
        stop=sampling_pb2.StopConditions(max_tokens=planned.output_tokens),
        priority=planned.seed,
    )


def evenly(count: int, gap_s: float, *, seed: int = 0) -> Workload:
    return Workload("even", tuple(PlannedRequest(i * gap_s, 4, 3, seed) for i in range(count)))


class Counting(Silent):
    def __init__(self) -> None:
        self.in_flight = self.most = self.messages = 0

    def on_sent(self, index: int) -> None:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)

    def on_message(self, index: int, message: inference_pb2.GenerateResponse) -> None:
        self.messages += 1

    def on_finished(self, record: object) -> None:
        self.in_flight -= 1


async def test_arrivals_never_wait_for_completions(tmp_path: Path) -> None:
    counting = Counting()
    async with serving(TinyInference(first_s=0.5), tmp_path) as address, Client(address) as client:
        records = await LoadRun(client.generate, build, counting).run(evenly(10, 0.02))
    assert counting.most == 10
    assert [r.planned_s for r in records] == pytest.approx([i * 0.02 for i in range(10)])
    assert all(0 <= r.lateness_s < 0.1 for r in records)


async def test_a_record_has_every_token_time_and_the_servers_timings(tmp_path: Path) -> None:
    counting = Counting()
    async with serving(TinyInference(first_s=0.1, gap_s=0.05), tmp_path) as address, Client(address) as client:
        (record,) = await LoadRun(client.generate, build, counting).run(evenly(1, 0))
    assert (record.outcome.status, record.outcome.reason) == ("OK", "LENGTH")
    assert (record.output_tokens, record.prompt_tokens, len(record.arrived)) == (3, 4, 3)
    assert record.ttft_s == pytest.approx(0.1, abs=0.05)
    assert record.itl_s == pytest.approx((0.05, 0.05), abs=0.03)
    assert record.server_ms["queue_ms"] == 1.5
    assert record.server_ms["decode_ms"] == 0
    assert (counting.in_flight, counting.messages) == (0, 4)


async def test_a_refusal_is_an_outcome_with_its_status_and_reason(tmp_path: Path) -> None:
    async with serving(TinyInference(), tmp_path) as address, Client(address) as client:
        (record,) = await LoadRun(client.generate, build).run(evenly(1, 0, seed=1))
    assert (record.outcome.status, record.outcome.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    assert record.ttft_s is None


async def test_a_server_that_is_not_there_is_an_outcome_too(tmp_path: Path) -> None:
    async with Client(f"unix:{tmp_path}/nobody.sock") as client:
        (record,) = await LoadRun(client.generate, build).run(evenly(1, 0))
    assert record.outcome.status == "UNAVAILABLE"


async def test_cancelling_a_run_cancels_its_requests(tmp_path: Path) -> None:
    servicer = TinyInference(first_s=30)
    async with serving(servicer, tmp_path) as address, Client(address) as client:
        run = asyncio.create_task(LoadRun(client.generate, build).run(evenly(5, 0)))
        assert [await servicer.events.get() for _ in range(5)] == ["started"] * 5
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        async with asyncio.timeout(5):
            assert [await servicer.events.get() for _ in range(5)] == ["cancelled"] * 5
