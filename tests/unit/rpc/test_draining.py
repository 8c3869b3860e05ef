"""How a server leaves: who has not heard yet is still served, and old connections end without ending their calls."""

import asyncio
import time
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.rpc.client import Client, open_channel
from splitwiser.rpc.listen import ListenOptions
from splitwiser.rpc.server import serve
from splitwiser.v1 import inference_pb2, inference_pb2_grpc
from tests.unit.rpc.test_server import Echo, service


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
    options = ListenOptions(lame_duck_s=0.4)
    async with serve(f"unix:{tmp_path}/echo.sock", [service(echo)], options=options) as server:
        await server.set_serving(True)
        async with Client(server.address) as client, open_channel(server.address) as channel:
            started_s, draining = time.monotonic(), asyncio.create_task(server.drain())
            await asyncio.sleep(0.1)
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await client.tokenize("new") == [3]
            await draining
            assert time.monotonic() - started_s >= 0.4


async def test_an_old_connection_is_left_for_a_new_one_and_its_calls_go_on() -> None:
    slow = Slow()
    options = ListenOptions(max_connection_age_s=0.2)
    async with serve("127.0.0.1:0", [service(slow)], options=options) as server, Client(server.address) as client:
        long = asyncio.create_task(client.tokenize("x" * 100))
        for _ in range(50):
            assert await client.tokenize("x") == [1]
        assert await long == [100]
    assert len(set(slow.peers)) > 2
