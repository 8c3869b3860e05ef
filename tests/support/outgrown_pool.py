"""Owns the check that vLLM is lent pages as answers grow, on either device, and that giving way costs no token."""

import asyncio
from typing import Any

from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.stack import RunningStack

REQUESTS = 8
TOKENS = 250
POOL_TOKENS = 1600
SECTIONS: dict[str, Any] = {"decode": {"room_tokens": 32}}
"""Of a stack's settings. Seven tenths of POOL_TOKENS are decode's, room for four requests."""


def pool_of(page_tokens: int) -> dict[str, Any]:
    return {"pages": POOL_TOKENS // page_tokens, "page_tokens": page_tokens, "prefill_share": 0.3}


async def check_answers_outgrow_the_pool(stack: RunningStack) -> None:
    """Greedy answers of requests one by one are those of all of them at once, of which some must give way."""
    async with Client(stack.address) as client:
        alone = [await _ask(client, number) for number in range(REQUESTS)]
        assert _gave_way(stack) == 0
        together = await asyncio.gather(*(_ask(client, number) for number in range(REQUESTS)))
    await stack.assert_nothing_is_left()
    assert _gave_way(stack) > 0
    assert together == alone
    assert {len(answer) for answer in together} == {TOKENS}


async def _ask(client: Client, number: int) -> list[int]:
    stop = StopConditions(max_tokens=TOKENS, ignore_eos=True)
    request = GenerateRequest(text=f"{number} " * 8, sampling=SamplingParams(temperature=0), stop=stop)
    answer = client.generate(request, timeout_s=300)
    return [token_id async for message in answer for token_id in message.token_ids]


def _gave_way(stack: RunningStack) -> float:
    return stack.metric("router", "splitwiser_requests_gave_way_total")
