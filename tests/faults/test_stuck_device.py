"""A device that is stuck while the event loop runs on: the worker says so, leaves, and comes back."""

import asyncio
import time
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.errors import WorkerLost
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import StopConditions
from tests.support.stack import RunningStack, running_stack

STEP_TIMEOUT_S = 1.0
AN_HOUR_US = 3.6e9
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module", params=["decode", "prefill"])
def stuck_phase(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stack(stuck_phase: str) -> Iterator[RunningStack]:
    """The first step of the phase takes an hour."""
    slow = {"decode": {"decode_step_us": AN_HOUR_US}, "prefill": {"prefill_us_per_token": AN_HOUR_US}}
    with running_stack(
        engine={"kind": "sim", "step_timeout_s": STEP_TIMEOUT_S},
        sim=slow[stuck_phase],
        router={"listen": "127.0.0.1:0", "retries": 0},
    ) as stack:
        yield stack


async def last_health(address: str, service: str) -> int:
    """What the worker said last before it was gone."""
    last = 0
    async with grpc.aio.insecure_channel(address) as channel:
        answers = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))
        try:
            async for answer in answers:
                last = int(answer.status)
        except grpc.aio.AioRpcError:
            pass
    return last


async def test_the_worker_leaves_and_another_takes_its_place(stack: RunningStack, stuck_phase: str) -> None:
    instance = f"{stuck_phase}-0"
    dead, address = stack.pid(instance), f"unix:{stack.settings.run_dir / instance}.sock"
    healths = [asyncio.create_task(last_health(address, service)) for service in ("", "liveness")]
    await asyncio.sleep(0.5)
    assert stack.pid(instance) == dead, "an idle engine is not stuck"
    async with Client(stack.address) as client:
        request = GenerateRequest(text="stuck", stop=StopConditions(max_tokens=5, ignore_eos=True))
        started_s = time.monotonic()
        # Not its deadline ends it.
        with pytest.raises(WorkerLost):
            async for _ in client.generate(request, timeout_s=STEP_TIMEOUT_S + 10):
                pass
        assert time.monotonic() - started_s >= STEP_TIMEOUT_S
    assert await asyncio.gather(*healths) == [NOT_SERVING, NOT_SERVING]
    await stack.back(instance, dead)
    log = (stack.settings.run_dir / "logs" / f"{instance}.log").read_text()
    assert "error: an engine step has not ended for 1 s" in log
    assert "help: " in log
    await stack.assert_nothing_is_left()
