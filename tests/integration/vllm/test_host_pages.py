"""vLLM's pages on the host: what the pool has evicted comes back with what it held."""

from tests.support.host_pages import POOL, check_evicted_pages_come_back
from tests.support.stack import running_stack


async def test_evicted_pages_come_back(tiny_llama: str) -> None:
    with running_stack(engine={"kind": "vllm", "model": tiny_llama}, pool=POOL) as stack:
        await check_evicted_pages_come_back(stack, page_tokens=32)
