"""Open-loop load: arrivals wait for nothing, outcomes are recorded, and nothing is left in flight."""

import asyncio
import time
from pathlib import Path
from statistics import median

import pytest

from splitwiser.bench.load import LoadRun, Silent
from splitwiser.bench.workload import PlannedRequest, Workload
from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2, sampling_pb2
from tests.support.waiting import until
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
    """Were one to wait for another's answer, none would come: the server waits for all of them."""
    counting, servicer = Counting(), TinyInference()
    servicer.go_on.clear()
    async with serving(servicer, tmp_path) as address, Client(address) as client:
        run = asyncio.create_task(LoadRun(client.generate, build, counting).run(evenly(10, 0.02)))
        await until(lambda: counting.most == 10)
        servicer.go_on.set()
        records = await run
    assert [r.planned_s for r in records] == pytest.approx([i * 0.02 for i in range(10)])
    assert all(r.lateness_s >= 0 for r in records)
    assert median(r.lateness_s for r in records) < 0.1


async def test_a_record_has_every_token_time_and_the_servers_timings(tmp_path: Path) -> None:
    counting = Counting()
    async with serving(TinyInference(first_s=0.1, gap_s=0.05), tmp_path) as address, Client(address) as client:
        began_s = time.perf_counter()
        (record,) = await LoadRun(client.generate, build, counting).run(evenly(1, 0))
        took_s = time.perf_counter() - began_s
    assert (record.outcome.status, record.outcome.reason) == ("OK", "LENGTH")
    assert (record.output_tokens, record.prompt_tokens, len(record.arrived)) == (3, 4, 3)
    # Earlier than the server sent it nothing can come, and what comes late may come together.
    first, second, third = (arrived.at_s - record.sent_s for arrived in record.arrived)
    assert record.ttft_s == first
    assert 0.09 < first < second < third
    assert record.itl_s == pytest.approx((second - first, third - second))
    assert 0.19 < third <= took_s
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
        async with asyncio.timeout(60):
            assert [await servicer.events.get() for _ in range(5)] == ["cancelled"] * 5
