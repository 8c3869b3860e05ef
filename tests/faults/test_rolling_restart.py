"""A service told to stop finishes what it has: no request shorter than the grace fails."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import StopConditions
from tests.support.stack import RunningStack, running_stack
from tests.support.streams import in_mid_stream, mixed_streams


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running_stack(prefill={"workers": 2}, decode={"workers": 2}) as stack:
        yield stack


async def tokens_of(client: Client, text: str, max_tokens: int) -> int:
    request = GenerateRequest(text=text, stop=StopConditions(max_tokens=max_tokens, ignore_eos=True))
    return sum([len(message.token_ids) async for message in client.generate(request, timeout_s=60)])


@pytest.mark.parametrize("instance", ["prefill-0", "decode-1"])
async def test_a_worker_rolls_under_load_without_a_failure(stack: RunningStack, instance: str) -> None:
    async with Client(stack.address) as client:
        first = [asyncio.create_task(tokens_of(client, f"before {index}", 150)) for index in range(20)]
        await asyncio.sleep(0.05)
        os.kill(stack.pid(instance), signal.SIGTERM)
        later = []
        for index in range(20):
            later.append(asyncio.create_task(tokens_of(client, f"after {index}", 50)))
            await asyncio.sleep(0.02)
        assert await asyncio.gather(*first) == [150] * 20
        assert await asyncio.gather(*later) == [50] * 20


async def test_a_router_that_stops_ends_its_streams_first(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        streams = mixed_streams(20, max_tokens=600)
        running = [asyncio.create_task(stream.run(client)) for stream in streams]
        await in_mid_stream(streams, 1)
        os.kill(stack.pid("router"), signal.SIGTERM)
        await asyncio.gather(*running)
        assert [len(stream.tokens) for stream in streams] == [600] * 20
