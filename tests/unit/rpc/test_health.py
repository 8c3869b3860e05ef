"""Readiness and liveness are told apart, and probes that speak no TLS have a door on which there is nothing else."""

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.rpc.client import Client
from splitwiser.rpc.health import LIVENESS, Health, health_listener
from splitwiser.rpc.listen import ListenOptions
from splitwiser.rpc.server import serve
from splitwiser.v1 import inference_pb2, inference_pb2_grpc
from tests.support.waiting import until
from tests.unit.rpc.test_server import Echo, service

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def answers(channel: grpc.aio.Channel) -> tuple[int, int]:
    """What is said of readiness and of liveness."""
    stub = health_pb2_grpc.HealthStub(channel)
    names = ("", LIVENESS)
    ready, alive = [await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=60) for name in names]
    return ready.status, alive.status


async def test_liveness_does_not_follow_readiness(tmp_path: Path) -> None:
    state = Health()
    await state.start()
    address = f"unix:{tmp_path}/health.sock"
    async with health_listener(address, state), grpc.aio.insecure_channel(address) as channel:
        assert await answers(channel) == (NOT_SERVING, SERVING)
        await state.set_serving(True)
        assert await answers(channel) == (SERVING, SERVING)
        await state.set_alive(False)
        assert await answers(channel) == (SERVING, NOT_SERVING)


async def test_a_draining_server_is_not_ready_and_alive_until_its_last_call_ends(tmp_path: Path) -> None:
    echo = Echo()
    options = ListenOptions(health_address=f"unix:{tmp_path}/health.sock", grace_s=10)
    async with serve(f"unix:{tmp_path}/echo.sock", [service(echo)], options=options) as server:
        await server.set_serving(True)
        async with grpc.aio.insecure_channel(options.health_address) as probe, Client(server.address) as client:
            call = asyncio.create_task(client.tokenize("abc"))
            await until(lambda: echo.waiting == 1)
            draining = asyncio.create_task(server.drain())
            await asyncio.sleep(0.1)
            assert await answers(probe) == (NOT_SERVING, SERVING)
            await server.set_serving(True)
            assert await answers(probe) == (NOT_SERVING, SERVING)
            echo.release.set()
            assert await call == [3]
            await draining


async def test_the_health_listener_serves_health_alone(tmp_path: Path) -> None:
    options = ListenOptions(health_address=f"unix:{tmp_path}/health.sock")
    async with (
        serve(f"unix:{tmp_path}/echo.sock", [service(Echo())], options=options),
        grpc.aio.insecure_channel(options.health_address) as channel,
    ):
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Tokenize(inference_pb2.TokenizeRequest(text="abc"), timeout=60)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
