"""What every call passes before its servicer: readable text, bounded metadata, admission; and the server's own life."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from splitwiser.errors import ConfigurationError, InvalidRequest, Overloaded, SplitwiserError, StartupError
from splitwiser.rpc import status
from splitwiser.rpc.client import Client, open_channel, open_stream
from splitwiser.rpc.server import Server, Service, serve
from splitwiser.v1 import inference_pb2, inference_pb2_grpc
from tests.support.waiting import until

GENERATE = "/splitwiser.v1.InferenceService/Generate"
TOKENIZE = "/splitwiser.v1.InferenceService/Tokenize"


class Echo(inference_pb2_grpc.InferenceServiceServicer):
    """Streams until cancelled, and counts those cancellations. Tokenize waits for its release."""

    def __init__(self) -> None:
        self.cancelled = self.waiting = 0
        self.release = asyncio.Event()

    async def Generate(self, request: Any, context: Any) -> None:  # noqa: N802
        try:
            while True:
                await context.write(inference_pb2.GenerateResponse(text="x"))
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def Tokenize(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.waiting += 1
        await self.release.wait()
        return inference_pb2.TokenizeResponse(token_ids=[len(request.text)])


def service(servicer: inference_pb2_grpc.InferenceServiceServicer) -> Service:
    descriptor = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"]
    return Service(descriptor, inference_pb2_grpc.add_InferenceServiceServicer_to_server, servicer)


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def server(echo: Echo, tmp_path: Path) -> AsyncIterator[Server]:
    async with serve(f"unix:{tmp_path}/echo.sock", [service(echo)], limits={TOKENIZE: 1}) as server:
        server.grace_s = 0.1
        await server.set_serving(True)
        yield server


async def refusal(
    address: str, method: str, data: bytes, metadata: tuple[tuple[str, str], ...] = ()
) -> SplitwiserError:
    """The error that raw request bytes are answered with."""
    async with open_channel(address) as channel:
        call = channel.unary_unary(method, request_serializer=lambda raw: raw, response_deserializer=lambda raw: raw)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(data, metadata=metadata, timeout=60)
        return status.decode(caught.value)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\xed\xa0\x80", b"caf\xe9"], ids=["no utf-8", "surrogate", "latin-1"])
async def test_text_that_is_not_utf8_is_named(server: Server, text: bytes) -> None:
    raw = b"\x12" + bytes([len(text)]) + text
    error = await refusal(server.address, TOKENIZE, raw)
    assert isinstance(error, InvalidRequest)
    assert error.field == "text"
    assert "UTF-8" in error.help


async def test_a_broken_stop_string_is_named_with_its_path(server: Server) -> None:
    stop = b"\x12\x02\xff\xfe"
    error = await refusal(server.address, GENERATE, b"\x32" + bytes([len(stop)]) + stop)
    assert error.field == "stop.stop"


async def test_bytes_that_are_no_message_are_refused(server: Server) -> None:
    assert (await refusal(server.address, TOKENIZE, b"\xff\xff\xff")).field == "request"


async def test_a_metadata_bomb_is_refused_with_its_size(server: Server) -> None:
    error = await refusal(server.address, TOKENIZE, b"", (("x-bomb", "b" * 20_000),))
    assert isinstance(error, InvalidRequest)
    assert error.field == "metadata"


class Refusing(inference_pb2_grpc.InferenceServiceServicer):
    """Has much to say against a request."""

    async def Tokenize(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise InvalidRequest("é" * 20_000, field="text", help="shorten it")


async def test_an_error_that_says_too_much_reaches_its_caller_all_the_same(tmp_path: Path) -> None:
    async with serve(f"unix:{tmp_path}/refusing.sock", [service(Refusing())]) as server:
        error = await refusal(server.address, TOKENIZE, b"")
    assert isinstance(error, InvalidRequest)
    assert (error.field, error.help, error.cause[:100]) == ("text", "shorten it", "é" * 100)


async def test_a_full_method_refuses_while_health_goes_on(server: Server, echo: Echo) -> None:
    async with Client(server.address) as client, open_channel(server.address) as channel:
        first = asyncio.create_task(client.tokenize("abc"))
        await until(lambda: echo.waiting == 1)
        with pytest.raises(Overloaded) as caught:
            await client.tokenize("abc")
        assert caught.value.retry_after_s
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        echo.release.set()
        assert await first == [3]


async def test_leaving_a_stream_early_cancels_it_at_the_server(server: Server, echo: Echo) -> None:
    async with open_channel(server.address) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        async with open_stream(stub.Generate, inference_pb2.GenerateRequest()) as messages:
            async for _ in messages:
                break
        await until(lambda: echo.cancelled > 0)
    assert echo.cancelled == 1


async def test_reflection_lists_the_service(server: Server) -> None:
    async with open_channel(server.address) as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        answer = await call.read()
        call.cancel()
    assert "splitwiser.v1.InferenceService" in {entry.name for entry in answer.list_services_response.service}


async def test_a_port_in_use_is_told(echo: Echo) -> None:
    async with serve("127.0.0.1:0", [service(echo)]) as first:
        with pytest.raises(StartupError, match="in use"):
            async with serve(first.address, [service(Echo())]):
                pass


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.org:1"])
async def test_plaintext_beyond_this_machine_must_be_asked_for(echo: Echo, address: str) -> None:
    with pytest.raises(ConfigurationError, match="plaintext"):
        async with serve(address, [service(echo)]):
            pass
