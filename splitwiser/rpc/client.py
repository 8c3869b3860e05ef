"""Owns calls to other services: the channel's options, the time left, the trace, and a cancel on every way out."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc

from splitwiser.config.address import TcpAddress
from splitwiser.config.schema import TlsSettings
from splitwiser.rpc import status
from splitwiser.rpc.keepalive import IMPATIENT, PATIENT
from splitwiser.rpc.propagation import outgoing_metadata
from splitwiser.rpc.tls import channel_credentials
from splitwiser.v1 import inference_pb2, inference_pb2_grpc

PLAINTEXT = TlsSettings()
CHANNEL_OPTIONS = [
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # How long one attempt to connect may take, too: a busy peer needs more than a network does.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
]

Response = TypeVar("Response")


def open_channel(
    address: str,
    tls: TlsSettings = PLAINTEXT,
    name: str = "",
    keepalive: Sequence[tuple[str, int]] = IMPATIENT,
    *,
    proxied: bool = False,
) -> grpc.aio.Channel:
    """A channel to HOST:PORT or unix:PATH. name: whom the peer's certificate must name, if not HOST.

    proxied: through the proxy that the environment names, if it does; services reach each other without one.
    """
    options = [*CHANNEL_OPTIONS, *keepalive, ("grpc.enable_http_proxy", int(proxied))]
    credentials = None if address.startswith("unix:") else channel_credentials(tls)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    named = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.aio.secure_channel(address, credentials, options=[*options, *named])


async def call_unary(method: Callable[..., Any], request: Any, *, timeout_s: float | None = None) -> Any:
    """One answer. Cancelling the caller cancels the call; a failed call raises the error tree's exception."""
    call = method(request, timeout=timeout_s, metadata=outgoing_metadata())
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise status.decode(error) from None
    finally:
        call.cancel()


@asynccontextmanager
async def open_stream(
    method: Callable[..., Any], request: Any, *, timeout_s: float | None = None
) -> AsyncIterator[AsyncIterator[Any]]:
    """A stream of answers, cancelled however the block is left: grpc's own `async for` does not cancel on break."""
    call = method(request, timeout=timeout_s, metadata=outgoing_metadata())
    try:
        yield _messages(call)
    finally:
        call.cancel()


async def _messages(call: Any) -> AsyncIterator[Any]:
    try:
        while (message := await call.read()) is not grpc.aio.EOF:
            yield message
    except grpc.aio.AioRpcError as error:
        raise status.decode(error) from None


class Client:
    """A client of the public API. A router of another machine may be behind a proxy, this machine's never is."""

    def __init__(self, address: str, tls: TlsSettings = PLAINTEXT) -> None:
        host = address.rpartition(":")[0].strip("[]")
        is_here = TcpAddress(host, 0).is_loopback
        self._channel = open_channel(address, tls, keepalive=PATIENT, proxied=not is_here)
        self._stub = inference_pb2_grpc.InferenceServiceStub(self._channel)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def generate(
        self, request: inference_pb2.GenerateRequest, *, timeout_s: float | None = None
    ) -> AsyncGenerator[inference_pb2.GenerateResponse, None]:
        """Stream the answer. Leaving the loop early needs aclose() (contextlib.aclosing) to cancel at once."""
        async with open_stream(self._stub.Generate, request, timeout_s=timeout_s) as messages:
            async for message in messages:
                yield message

    async def get_model(self, model: str = "", *, timeout_s: float = 5.0) -> inference_pb2.GetModelResponse:
        """Facts about the served model."""
        request = inference_pb2.GetModelRequest(model=model)
        response: inference_pb2.GetModelResponse = await call_unary(self._stub.GetModel, request, timeout_s=timeout_s)
        return response

    async def tokenize(self, text: str, *, timeout_s: float = 5.0) -> list[int]:
        """Token ids of the text, as a prompt of it would have."""
        request = inference_pb2.TokenizeRequest(text=text)
        response = await call_unary(self._stub.Tokenize, request, timeout_s=timeout_s)
        return list(response.token_ids)
