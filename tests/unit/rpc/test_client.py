"""A proxy that the environment names is for routers of other machines, never between services."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from splitwiser.errors import SplitwiserError, WorkerLost
from splitwiser.rpc.client import Client, call_unary, open_channel
from splitwiser.rpc.server import serve
from splitwiser.v1 import inference_pb2, inference_pb2_grpc
from tests.unit.rpc.test_server import Echo, service

ELSEWHERE = "192.0.2.1:50051"
"""An address that is nobody's."""


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[bytes]]:
    """The first line of each connection to a proxy that the environment names and that refuses everybody."""
    lines: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()

    for name in ("no_proxy", "no_grpc_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        yield lines


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_this_machines_router_is_asked_directly(host: str, asked: list[bytes]) -> None:
    echo = Echo()
    echo.release.set()
    async with serve(f"{host}:0", [service(echo)]) as server, Client(server.address) as client:
        assert await client.tokenize("abc", timeout_s=60) == [3]
    assert asked == []


async def test_another_machines_router_is_asked_through_the_proxy(asked: list[bytes]) -> None:
    async with Client(ELSEWHERE) as client:
        with pytest.raises(WorkerLost):
            await client.tokenize("abc", timeout_s=60)
    assert asked[0].startswith(b"CONNECT 192.0.2.1:50051 ")


async def test_services_reach_each_other_without_it(asked: list[bytes]) -> None:
    async with open_channel(ELSEWHERE) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        with pytest.raises(SplitwiserError):
            await call_unary(stub.Tokenize, inference_pb2.TokenizeRequest(text="abc"), timeout_s=1)
    assert asked == []
