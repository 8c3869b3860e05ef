"""A worker that is told to stop leaves with its last request: a router that stays connected to it holds nothing up."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from splitwiser.rpc.client import Client
from splitwiser.v1.sampling_pb2 import FINISH_REASON_LENGTH
from tests.support.pods import Pod, running_pods
from tests.support.streams import in_mid_stream, mixed_streams

GRACE_S = 60.0
SOON_S = 20.0
STEPS = {"prefill_us_per_token": 1.0, "decode_step_us": 3000.0, "decode_us_per_sequence": 1.0}


@asynccontextmanager
async def release(redis_url: str) -> AsyncIterator[tuple[Client, dict[str, Pod]]]:
    """A router with one worker of each phase at a fixed address, and a client of it."""
    async with running_pods(redis_url, sim=STEPS, drain={"grace_s": GRACE_S}) as pods:
        workers = {
            phase: await pods.start(phase, f"{phase}-0", "--listen=127.0.0.1:0") for phase in ("prefill", "decode")
        }
        flags = [f"--{phase}={worker.address}" for phase, worker in workers.items()]
        router = await pods.start("router", "router-0", "--listen=127.0.0.1:0", *flags)
        async with Client(router.address) as client:
            (stream,) = mixed_streams(1, max_tokens=2)
            await stream.run(client)
            assert stream.finish
            yield client, workers


@pytest.mark.parametrize("phase", ["prefill", "decode"])
async def test_an_idle_worker_leaves_at_once(redis_url: str, phase: str) -> None:
    async with release(redis_url) as (_, workers):
        started_s = time.monotonic()
        workers[phase].terminate()
        assert await workers[phase].ended(GRACE_S) == 0
        assert time.monotonic() - started_s < SOON_S


async def test_a_busy_worker_leaves_when_every_stream_has_all_its_tokens(redis_url: str) -> None:
    async with release(redis_url) as (client, workers):
        streams = mixed_streams(16, max_tokens=600)
        running = [asyncio.create_task(stream.run(client)) for stream in streams]
        await in_mid_stream(streams, 5)
        workers["decode"].terminate()
        ended = asyncio.create_task(workers["decode"].ended(GRACE_S))
        await asyncio.gather(*running)
        last_s = time.monotonic()
        for stream in streams:
            assert stream.tokens == await stream.expected(client)
            assert stream.finish
            assert stream.finish.reason == FINISH_REASON_LENGTH
            # Nothing was prefilled again at another worker: there is none.
            assert stream.error is None
        assert await ended == 0
        assert time.monotonic() - last_s < SOON_S
