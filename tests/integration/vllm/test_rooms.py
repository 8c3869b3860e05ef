"""Requests that start with a part of their pages: vLLM is lent more as they grow, and those that give way go on."""

import asyncio

from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.stack import running_stack

TOKENS = 250


async def test_answers_that_outgrow_the_pool_are_those_of_requests_alone(tiny_llama: str) -> None:
    """Decode's 35 pages of 32 tokens are those of four requests; eight run."""
    settings = {"engine": {"kind": "vllm", "model": tiny_llama}, "decode": {"room_tokens": 32}}
    with running_stack(**settings, pool={"pages": 50, "prefill_share": 0.3}) as stack:

        async def ask(client: Client, number: int) -> list[int]:
            stop = StopConditions(max_tokens=TOKENS, ignore_eos=True)
            request = GenerateRequest(text=f"{number} " * 8, sampling=SamplingParams(temperature=0), stop=stop)
            answer = client.generate(request, timeout_s=300)
            return [token_id async for message in answer for token_id in message.token_ids]

        async with Client(stack.address) as client:
            alone = [await ask(client, number) for number in range(8)]
            assert stack.metric("router", "splitwiser_requests_gave_way_total") == 0
            together = await asyncio.gather(*(ask(client, number) for number in range(8)))
        await stack.assert_nothing_is_left()
        assert stack.metric("router", "splitwiser_requests_gave_way_total") > 0
    assert together == alone
    assert {len(answer) for answer in together} == {TOKENS}
