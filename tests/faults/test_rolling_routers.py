"""Two routers roll, one after the other, under load: no request fails, whoever spreads the requests over them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import grpc
import httpx2
import pytest

from splitwiser.v1 import inference_pb2_grpc
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import StopConditions
from tests.support.balancer import balancer
from tests.support.pods import Pod, Pods, running_pods
from tests.support.redis_server import redis_server
from tests.support.sockets import free_port
from tests.support.waiting import PATIENCE_S

REQUESTS = 200
CHECKED = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [{"name": [{}], "waitForReady": True}],
}
"""A client's own balancing: it asks each router for its health and leaves one that drains. It waits where else a call
would fail at once: in the moment in which one router leaves, the connection to the other may just be renewed."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as server:
        yield server.url


@pytest.fixture
async def pods(redis_url: str) -> AsyncIterator[Pods]:
    drain, router = {"lame_duck_s": 4, "grace_s": 10}, {"max_connection_age_s": 0.5}
    async with running_pods(redis_url, drain=drain, router=router) as pods:
        yield pods


class Routers:
    """Two routers over the same workers, each on a port that it keeps over its restarts."""

    def __init__(self, pods: Pods, *, http: bool = False) -> None:
        self._pods = pods
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        self.http_addresses = [f"127.0.0.1:{free_port()}" if http else "" for _ in range(2)]
        self.running: list[Pod] = []

    async def start(self) -> None:
        workers = [await self._pods.start(phase, phase, "--listen", "127.0.0.1:0") for phase in ("prefill", "decode")]
        self._flags = [part for pod in workers for part in (f"--{pod.card.service}", pod.address)]
        self.running = [await self._start(index) for index in range(2)]

    async def roll(self, found: Callable[[Pod], Awaitable[object]]) -> None:
        """Replace each in turn, as a Deployment does: the next one leaves once the new one is found by its clients."""
        for index in range(2):
            self.running[index].terminate()
            assert await self.running[index].ended() == 0
            self.running[index] = await self._start(index)
            await found(self.running[index])

    async def _start(self, index: int) -> Pod:
        # The variable that a pod would have in its own environment.
        http = ("env", f"SPLITWISER_ROUTER__HTTP_LISTEN={self.http_addresses[index]}")
        flags = ("--listen", self.addresses[index], *self._flags)
        pod = await self._pods.start("router", f"router-{index}", *flags, wrapper=http)
        async with grpc.aio.insecure_channel(pod.address) as channel:
            await channel.channel_ready()
        return pod


async def has_served(router: Pod) -> None:
    """Wait until a router has answered a request."""
    async with asyncio.timeout(PATIENCE_S):
        while await router.metric("splitwiser_requests_total") == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def ask(stub: inference_pb2_grpc.InferenceServiceStub, number: int) -> str:
    """How one request ended: "ok", or what went wrong."""
    request = GenerateRequest(text=f"request {number}", stop=StopConditions(max_tokens=50, ignore_eos=True))
    try:
        tokens = [token_id async for message in stub.Generate(request, timeout=60) for token_id in message.token_ids]
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "ok" if len(tokens) == 50 else f"{len(tokens)} tokens"


async def ask_http(client: httpx2.AsyncClient, number: int) -> str:
    """The same by the OpenAI door."""
    try:
        answer = await client.post("/v1/completions", json={"prompt": f"request {number}", "max_tokens": 50})
    except httpx2.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return "ok" if answer.status_code == 200 else f"{answer.status_code}: {answer.text}"


async def load(ask_one: Callable[[int], Awaitable[str]], roll: Awaitable[None]) -> list[str]:
    """How the requests ended, of which some were asked at every moment while the routers rolled."""
    rolling = asyncio.ensure_future(roll)
    asked: list[asyncio.Future[str]] = []
    while len(asked) < REQUESTS or not rolling.done():
        asked.append(asyncio.ensure_future(ask_one(len(asked))))
        await asyncio.sleep(0.02)
    await rolling
    return list(await asyncio.gather(*asked))


async def test_clients_of_one_address_lose_nothing(pods: Pods) -> None:
    """Their connection is told to go elsewhere while the router still serves it: they know nothing of balancing."""
    routers = Routers(pods)
    await routers.start()
    async with balancer(*routers.addresses) as service, grpc.aio.insecure_channel(service.address) as channel:
        await service.all_ready()
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        outcomes = await load(lambda number: ask(stub, number), routers.roll(service.all_ready))
    assert [outcome for outcome in outcomes if outcome != "ok"] == []


async def test_clients_that_balance_lose_nothing(pods: Pods) -> None:
    routers = Routers(pods)
    await routers.start()
    # The new router has the address of the old one here, at which a client tries again ever later.
    options = [("grpc.service_config", json.dumps(CHECKED)), ("grpc.max_reconnect_backoff_ms", 500)]
    target = f"ipv4:{','.join(routers.addresses)}"
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        outcomes = await load(lambda number: ask(stub, number), routers.roll(has_served))
    assert [outcome for outcome in outcomes if outcome != "ok"] == []


async def test_http_clients_that_keep_their_connections_lose_nothing(pods: Pods) -> None:
    """A router that drains ends each connection with its answer, so the next request opens one elsewhere."""
    routers = Routers(pods, http=True)
    await routers.start()
    async with balancer(*routers.http_addresses, probed=routers.addresses) as service:
        await service.all_ready()
        async with httpx2.AsyncClient(base_url=f"http://{service.address}", timeout=60) as client:
            outcomes = await load(lambda number: ask_http(client, number), routers.roll(service.all_ready))
    assert [outcome for outcome in outcomes if outcome != "ok"] == []
