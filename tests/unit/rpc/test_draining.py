"""How a server leaves: who has not heard yet is still served, and old connections end without ending their calls."""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.rpc.client import Client, open_channel, open_stream
from splitwiser.rpc.listen import ListenOptions
from splitwiser.rpc.server import Service, serve
from splitwiser.v1 import inference_pb2, inference_pb2_grpc
from tests.support.waiting import until
from tests.unit.rpc.test_server import Echo, service

LAME_DUCK_S = 5.0
GRACE_S = 60.0


class Slow(inference_pb2_grpc.InferenceServiceServicer):
    """Tokenizes a text's letters, a hundredth of a second each, and remembers by which connections it was asked."""

    def __init__(self) -> None:
        self.peers: list[str] = []

    async def Tokenize(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.peers.append(context.peer())
        await asyncio.sleep(len(request.text) / 100)
        return inference_pb2.TokenizeResponse(token_ids=[len(request.text)])


async def test_a_lame_duck_says_that_it_leaves_and_serves_those_who_have_not_heard(tmp_path: Path) -> None:
    echo = Echo()
    echo.release.set()
    options = ListenOptions(lame_duck_s=LAME_DUCK_S)
    async with serve(f"unix:{tmp_path}/echo.sock", [service(echo)], options=options) as server:
        await server.set_serving(True)
        async with Client(server.address) as client, open_channel(server.address) as channel:
            started_s, draining = time.monotonic(), asyncio.create_task(server.drain())
            await asyncio.sleep(0.1)
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await client.tokenize("new") == [3]
            await draining
            assert time.monotonic() - started_s >= LAME_DUCK_S


async def test_an_old_connection_is_left_for_a_new_one_and_its_calls_go_on() -> None:
    slow = Slow()
    options = ListenOptions(max_connection_age_s=0.2)
    async with serve("127.0.0.1:0", [service(slow)], options=options) as server, Client(server.address) as client:
        long = asyncio.create_task(client.tokenize("x" * 100))
        for _ in range(50):
            assert await client.tokenize("x") == [1]
        assert await long == [100]
    assert len(set(slow.peers)) > 2


class Standing(Echo):
    """Generate is a stream that lasts until it is ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    async def Generate(self, request: Any, context: Any) -> None:  # noqa: N802
        await context.write(inference_pb2.GenerateResponse(text="open"))
        await self.ended.wait()
        await context.write(inference_pb2.GenerateResponse(text="last words"))


def standing_service(servicer: Standing) -> Service:
    plain = service(servicer)
    return Service(plain.descriptor, plain.register, servicer, standing={"Generate": servicer.ended.set})


async def test_what_stands_open_ends_with_the_last_request(tmp_path: Path) -> None:
    servicer, options = Standing(), ListenOptions(grace_s=GRACE_S)
    async with serve(f"unix:{tmp_path}/s.sock", [standing_service(servicer)], options=options) as server:
        await server.set_serving(True)
        async with Client(server.address) as client, open_channel(server.address) as channel:
            watching = open_stream(health_pb2_grpc.HealthStub(channel).Watch, health_pb2.HealthCheckRequest())
            async with watching as health, aclosing(client.generate(inference_pb2.GenerateRequest())) as link:
                assert (await anext(health)).status == health_pb2.HealthCheckResponse.SERVING
                assert (await anext(link)).text == "open"
                request = asyncio.create_task(client.tokenize("abc"))
                await until(lambda: servicer.waiting == 1)
                draining = asyncio.create_task(server.drain())
                assert (await anext(health)).status == health_pb2.HealthCheckResponse.NOT_SERVING
                await asyncio.sleep(0.1)
                assert not servicer.ended.is_set()
                servicer.release.set()
                assert await request == [3]
                assert [message.text async for message in link] == ["last words"]
                assert [answer async for answer in health] == []
                async with asyncio.timeout(GRACE_S / 2):
                    await draining


async def test_nothing_that_stands_open_holds_an_idle_server(tmp_path: Path) -> None:
    servicer, options = Standing(), ListenOptions(grace_s=GRACE_S)
    async with serve(f"unix:{tmp_path}/s.sock", [standing_service(servicer)], options=options) as server:
        request = inference_pb2.GenerateRequest()
        async with Client(server.address) as client, aclosing(client.generate(request)) as link:
            assert (await anext(link)).text == "open"
            async with asyncio.timeout(GRACE_S / 2):
                await server.drain()
