"""Owns the question whether a gRPC service is ready: grpc.health.v1, asked at its address."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.config.schema import TlsSettings
from splitwiser.rpc.client import PLAINTEXT, open_channel

_SERVING = health_pb2.HealthCheckResponse.SERVING


async def is_serving(address: str, tls: TlsSettings = PLAINTEXT, *, timeout_s: float = 1.0) -> bool:
    """Whether the server at HOST:PORT or unix:PATH answers SERVING."""
    async with open_channel(address, tls) as channel:
        try:
            request = health_pb2.HealthCheckRequest()
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == _SERVING)
