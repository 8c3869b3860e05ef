"""Five times more than the stack can do: what is too much is refused at once, what is admitted is served in time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from statistics import median, quantiles

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.errors import Overloaded
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.stack import RunningStack, running_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
# 40 ms of prefill for each prompt, which no cache remembers: 25 requests a second are what can be done.
PROMPT, CAPACITY_PER_S = "x" * 200, 25
MAX_QUEUE, IN_FLIGHT = 16, 4
LINE_S = (MAX_QUEUE + IN_FLIGHT) / CAPACITY_PER_S
SECONDS = 20
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    sim = {"prefill_us_per_token": 200.0, "decode_step_us": 500.0, "decode_us_per_sequence": 1.0}
    router = {"listen": "127.0.0.1:0", "max_queue": MAX_QUEUE, "prefill_inflight": IN_FLIGHT}
    pool = {"prefix_cache": False}
    with running_stack(sim=sim, router=router, prefill={"max_batch": 1}, pool=pool) as stack:
        yield stack


async def watch(address: str, tell: Callable[[int], None]) -> None:
    """Pass on every health that the router tells, until cancelled."""
    async with grpc.aio.insecure_channel(address) as channel:
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
            tell(answer.status)


async def test_five_times_the_load(stack: RunningStack) -> None:
    request = GenerateRequest(
        text=PROMPT, sampling=SamplingParams(temperature=0), stop=StopConditions(max_tokens=3, ignore_eos=True)
    )
    served_s, refused_s, waits_s = list[float](), list[float](), list[float]()

    async def ask(client: Client) -> None:
        asked_s = time.monotonic()
        try:
            async for _ in client.generate(request, timeout_s=60):
                pass
            served_s.append(time.monotonic() - asked_s)
        except Overloaded as error:
            refused_s.append(time.monotonic() - asked_s)
            waits_s.append(error.retry_after_s or 0.0)

    healths = list[int]()
    watching = asyncio.create_task(watch(stack.address, healths.append))
    async with Client(stack.address) as client:
        asking = list[asyncio.Task[None]]()
        for _ in range(SECONDS * 5):
            asking += [asyncio.create_task(ask(client)) for _ in range(CAPACITY_PER_S)]
            await asyncio.sleep(0.2)
        await asyncio.gather(*asking)
    watching.cancel()
    assert healths == [SERVING]
    assert len(served_s) > SECONDS * CAPACITY_PER_S / 2
    assert len(refused_s) > SECONDS * CAPACITY_PER_S
    assert min(waits_s) > 0
    # A whole burst of 25 is answered one by one, by the router and by this client, which share few cores.
    assert median(refused_s) < 0.1
    # Nobody waits longer than the line is, but for where the machine stands still.
    assert quantiles(served_s, n=4)[2] < 3 * LINE_S
    await stack.assert_nothing_is_left()
