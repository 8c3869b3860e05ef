"""Chunks that get shorter beside running streams, in vLLM's own scheduler: the tokens stay the same."""

import asyncio

from splitwiser.engine.step_budget import LEAST_TOKENS
from splitwiser.rpc.client import Client
from splitwiser.telemetry.records import StepRecord
from splitwiser.telemetry.timeline import read_timeline
from tests.support.live_pool import all_tokens_of, request
from tests.support.stack import RunningStack, running_stack

CHUNK_TOKENS = 512


async def test_chunks_that_change_on_the_way_leave_tokens_as_they_are(stack: RunningStack, tiny_llama: str) -> None:
    asked = [request(1, 20, 400), *(request(number, 1100, 8) for number in range(2, 10))]
    async with Client(stack.address) as client:
        expected = await all_tokens_of(client, asked)
    engine = {"kind": "vllm", "model": tiny_llama}
    prefill = {"chunk_tokens": CHUNK_TOKENS, "itl_target_ms": 0.001}
    with running_stack(engine=engine, pool={"pages": 1024}, prefill=prefill) as paced:
        async with Client(paced.address) as client:
            assert await all_tokens_of(client, asked) == expected
        await paced.assert_nothing_is_left()
        await asyncio.sleep(0.5)
        steps = [each for each in read_timeline(paced.settings.run_dir) if isinstance(each, StepRecord)]
    tokens = [step.tokens for step in steps if step.phase == "prefill"]
    assert max(tokens) <= CHUNK_TOKENS
    assert tokens.count(LEAST_TOKENS) > 10
