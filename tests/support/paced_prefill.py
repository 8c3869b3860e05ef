"""Owns what is asked of a prefill that pauses after each step, on a CPU and on a GPU: the tokens stay the same."""

import asyncio
from typing import Any

from splitwiser.rpc.client import Client
from tests.support.live_pool import all_tokens_of, request
from tests.support.stack import RunningStack

# No step of decode is so short, so prefill pauses for as long as a stream runs.
PREFILL: dict[str, Any] = {"chunk_tokens": 512, "itl_target_ms": 0.001}
COMPANY_TOKENS = 1800
PAUSED = "splitwiser_prefill_paused_seconds_total"


async def check_tokens_are_those_without_pauses(stack: RunningStack, paced: RunningStack) -> None:
    """paced has PREFILL, and stack has not."""
    asked = [request(number, 1100, 8) for number in range(2, 10)]
    async with Client(stack.address) as client:
        expected = await all_tokens_of(client, asked)
    async with Client(paced.address) as client:
        running = asyncio.Event()
        company = asyncio.create_task(_stream(client, running))
        await running.wait()
        assert await all_tokens_of(client, asked) == expected
        company.cancel()
        await asyncio.wait([company])
    assert paced.metric("prefill", PAUSED) > 0
    await paced.assert_nothing_is_left()


async def _stream(client: Client, running: asyncio.Event) -> None:
    """An answer that takes longer than what is asked beside it. Sets running once decode has it."""
    tokens = 0
    async for answer in client.generate(request(1, 20, COMPANY_TOKENS), timeout_s=600):
        tokens += len(answer.token_ids)
        if tokens > 5:
            running.set()
