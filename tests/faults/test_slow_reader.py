"""A client that does not read: its request decodes to its end, in bounded memory, and nobody waits for it."""

import asyncio
from collections.abc import Iterator
from statistics import median

import grpc
import psutil
import pytest

from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2_grpc
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.stack import RunningStack, running_stack
from tests.support.streams import mixed_streams
from tests.support.waiting import until

STEPS = {"prefill_us_per_token": 1.0, "decode_step_us": 2000.0, "decode_us_per_sequence": 1.0}
SLOW_READERS = 24
SLOW_TOKENS = 1500


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running_stack(sim=STEPS, pool={"pages": 8192}) as stack:
        yield stack


async def milliseconds_a_token(client: Client) -> float:
    """Of a few streams that are read as they come."""
    loop = asyncio.get_running_loop()
    streams = mixed_streams(4, max_tokens=150)
    started_s = loop.time()
    await asyncio.gather(*(stream.run(client) for stream in streams))
    for stream in streams:
        assert stream.tokens == await stream.expected(client)
    return (loop.time() - started_s) / 150 * 1e3


async def test_nobody_waits_for_slow_readers(stack: RunningStack) -> None:
    request = GenerateRequest(
        text="not read",
        sampling=SamplingParams(temperature=0),
        stop=StopConditions(max_tokens=SLOW_TOKENS, ignore_eos=True),
    )
    async with Client(stack.address) as client, grpc.aio.insecure_channel(stack.address) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        router = psutil.Process(stack.pid("router"))
        undisturbed = median([await milliseconds_a_token(client) for _ in range(3)])
        before_bytes = router.memory_info().rss
        slow = [stub.Generate(request) for _ in range(SLOW_READERS)]
        for call in slow:
            await call.read()
        disturbed = median([await milliseconds_a_token(client) for _ in range(3)])
        await until(lambda: stack.pages_in_use() == 0)
        # The sim's steps go on as ever; what is allowed is the cost of more requests on a machine of few cores.
        assert disturbed < 4 * undisturbed
        assert router.memory_info().rss - before_bytes < 64 * 2**20
        for call in slow:
            tokens = 1
            while (message := await call.read()) is not grpc.aio.EOF:
                tokens += len(message.token_ids)
            assert tokens == SLOW_TOKENS
    await stack.assert_nothing_is_left()
