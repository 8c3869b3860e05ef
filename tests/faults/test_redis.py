"""Redis hangs, or forgets everything: what is in flight goes on with the right tokens, and new requests are told."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
import redis.asyncio as redis

from splitwiser.errors import RegistryUnavailable
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from tests.support.stack import RunningStack, running_stack
from tests.support.streams import Stream, in_mid_stream, mixed_streams

STEPS = {"prefill_us_per_token": 1.0, "decode_step_us": 3000.0, "decode_us_per_sequence": 1.0}
TIMEOUT_S = 10.0
"""Of every call to Redis: so long that it shows where a stream waits for one, also on a machine with other work."""


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    # Entries that nobody can forget are gone after their lease.
    redis = {"timeout_s": TIMEOUT_S, "open_timeout_s": TIMEOUT_S, "lease_s": 2.0}
    with running_stack(sim=STEPS, redis=redis) as stack:
        yield stack


async def check(streams: list[Stream], client: Client) -> None:
    for stream in streams:
        assert stream.error is None
        assert stream.tokens == await stream.expected(client)


async def test_streams_go_on_while_redis_hangs_and_new_requests_are_refused_in_time(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        streams = mixed_streams(16, max_tokens=400)
        running = [asyncio.create_task(stream.run(client)) for stream in streams]
        await in_mid_stream(streams, 10)
        hung = stack.pid("redis")
        os.kill(hung, signal.SIGSTOP)
        try:
            # Refused, and not at its own deadline.
            with pytest.raises(RegistryUnavailable):
                async for _ in client.generate(GenerateRequest(text="new"), timeout_s=TIMEOUT_S + 30):
                    pass
            await asyncio.gather(*running)
            assert max(stream.longest_gap_s for stream in streams) < TIMEOUT_S - 1
        finally:
            os.kill(hung, signal.SIGCONT)
        await check(streams, client)
        after = Stream("after", 20)
        await after.run(client)
        await check([after], client)
    await stack.assert_nothing_is_left()


async def test_a_redis_that_forgets_everything_disturbs_nobody(stack: RunningStack) -> None:
    async with Client(stack.address) as client, redis.from_url(stack.settings.redis.url) as raw:
        streams = mixed_streams(16, max_tokens=300)
        running = [asyncio.create_task(stream.run(client)) for stream in streams]
        for _ in range(20):
            await raw.flushall()
            await asyncio.sleep(0.05)
        await asyncio.gather(*running)
        await check(streams, client)
    await stack.assert_nothing_is_left()
