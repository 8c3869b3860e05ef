"""A real model whose decode worker dies in mid-stream: its spare takes over, and every stream goes on."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    model = make_tiny(tmp_path_factory.mktemp("models") / "llama")
    with running_stack(engine={"kind": "transformers", "model": str(model)}, stack={"spares": "on"}) as stack:
        yield stack


async def test_greedy_and_drawn_streams_go_on(stack: RunningStack) -> None:
    tokens: list[list[int]] = [[] for _ in range(8)]

    async def ask(client: Client, number: int) -> None:
        tokens[number].clear()
        sampling = SamplingParams(temperature=number % 2, seed=number)
        stop = StopConditions(max_tokens=300, ignore_eos=True)
        request = GenerateRequest(text=f"request {number}", sampling=sampling, stop=stop)
        async for answer in client.generate(request, timeout_s=120):
            tokens[number] += answer.token_ids

    async with Client(stack.address) as client:
        await asyncio.gather(*(ask(client, number) for number in range(8)))
        undisturbed = [list(answer) for answer in tokens]
        spare, dead = stack.spare_pid("decode-0"), stack.pid("decode-0")
        asking = [asyncio.create_task(ask(client, number)) for number in range(8)]
        await until(lambda: min(len(answer) for answer in tokens) > 20)
        os.kill(dead, signal.SIGKILL)
        await asyncio.gather(*asking)
        assert tokens == undisturbed
    assert spare
    assert stack.pid("decode-0") == spare
    await stack.assert_nothing_is_left()
