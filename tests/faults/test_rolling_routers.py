"""Two routers roll, one after the other, under load: no request fails, whoever spreads the requests over them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import grpc
import pytest

from splitwiser.v1 import inference_pb2_grpc
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import StopConditions
from tests.support.balancer import balancer
from tests.support.pods import Pod, Pods, running_pods
from tests.support.redis_server import redis_server
from tests.support.sockets import free_port
from tests.support.waiting import until

REQUESTS = 200
NOTICED_S = 1.0
"""What a Deployment calls minReadySeconds: clients find the new router before the next one leaves."""
CHECKED = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
"""A client's own balancing: it asks each router for its health and leaves one that drains."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as server:
        yield server.url


@pytest.fixture
async def pods(redis_url: str) -> AsyncIterator[Pods]:
    drain, router = {"lame_duck_s": 1.5, "grace_s": 10}, {"max_connection_age_s": 0.5}
    async with running_pods(redis_url, drain=drain, router=router) as pods:
        yield pods


class Routers:
    """Two routers over the same workers, each on a port that it keeps over its restarts."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        self.running: list[Pod] = []

    @property
    def addresses(self) -> list[str]:
        return self._addresses

    async def start(self) -> None:
        workers = [await self._pods.start(phase, phase, "--listen", "127.0.0.1:0") for phase in ("prefill", "decode")]
        self._flags = [part for pod in workers for part in (f"--{pod.card.service}", pod.address)]
        self.running = [await self._start(index) for index in range(2)]

    async def roll(self) -> None:
        """Replace each in turn, as a Deployment does."""
        for index in range(2):
            self.running[index].terminate()
            assert await self.running[index].ended() == 0
            self.running[index] = await self._start(index)
            await asyncio.sleep(NOTICED_S)

    async def _start(self, index: int) -> Pod:
        pod = await self._pods.start("router", f"router-{index}", "--listen", self._addresses[index], *self._flags)
        async with grpc.aio.insecure_channel(pod.address) as channel:
            await channel.channel_ready()
        return pod


async def ask(stub: inference_pb2_grpc.InferenceServiceStub, number: int) -> str:
    """How one request ended: "ok", or what went wrong."""
    request = GenerateRequest(text=f"request {number}", stop=StopConditions(max_tokens=50, ignore_eos=True))
    try:
        tokens = [token_id async for message in stub.Generate(request, timeout=30) for token_id in message.token_ids]
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "ok" if len(tokens) == 50 else f"{len(tokens)} tokens"


async def load(channel: grpc.aio.Channel, roll: Callable[[], Awaitable[None]]) -> list[str]:
    """How the requests ended, of which some were asked at every moment while the routers rolled."""
    stub = inference_pb2_grpc.InferenceServiceStub(channel)
    rolling = asyncio.ensure_future(roll())
    asked: list[asyncio.Task[str]] = []
    while len(asked) < REQUESTS or not rolling.done():
        asked.append(asyncio.create_task(ask(stub, len(asked))))
        await asyncio.sleep(0.02)
    await rolling
    return list(await asyncio.gather(*asked))


async def test_clients_of_one_address_lose_nothing(pods: Pods) -> None:
    """Their connection is told to go elsewhere while the router still serves it: they know nothing of balancing."""
    routers = Routers(pods)
    await routers.start()
    async with balancer(*routers.addresses) as service, grpc.aio.insecure_channel(service.address) as channel:
        await until(lambda: service.ready == 2, 10)
        outcomes = await load(channel, routers.roll)
    assert [outcome for outcome in outcomes if outcome != "ok"] == []


async def test_clients_that_balance_lose_nothing(pods: Pods) -> None:
    routers = Routers(pods)
    await routers.start()
    # The new router has the address of the old one here, at which a client tries again ever later.
    options = [("grpc.service_config", json.dumps(CHECKED)), ("grpc.max_reconnect_backoff_ms", 500)]
    target = f"ipv4:{','.join(routers.addresses)}"
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        outcomes = await load(channel, routers.roll)
    assert [outcome for outcome in outcomes if outcome != "ok"] == []
