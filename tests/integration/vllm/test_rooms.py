"""Requests that start with a part of their pages: vLLM is lent more as they grow, and those that give way go on."""

from tests.support.outgrown_pool import SECTIONS, check_answers_outgrow_the_pool, pool_of
from tests.support.stack import running_stack


async def test_answers_that_outgrow_the_pool_are_those_of_requests_alone(tiny_llama: str) -> None:
    with running_stack(engine={"kind": "vllm", "model": tiny_llama}, pool=pool_of(32), **SECTIONS) as stack:
        await check_answers_outgrow_the_pool(stack)
