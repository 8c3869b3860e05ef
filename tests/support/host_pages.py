"""Owns what is asked of engines whose pool evicts to the host: pages come back with what they held.

On a CPU and on a GPU the same, so the tests of both call these.
"""

from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from tests.support.live_pool import request
from tests.support.stack import RunningStack
from tests.support.waiting import until

POOL = {"pages": 64, "host_pages": 512}
PROMPT_TOKENS, ANSWER_TOKENS = 230, 12
SAVE_TIMEOUT_S = 20


async def check_evicted_pages_come_back(stack: RunningStack, *, page_tokens: int) -> None:
    """Prompts are answered, then evicted by others, then answered again: from the host, with the same tokens."""
    asked = [request(number, PROMPT_TOKENS, ANSWER_TOKENS) for number in range(3)]
    pages = (PROMPT_TOKENS + ANSWER_TOKENS - 1) // page_tokens
    async with Client(stack.address) as client:
        computed = [await _answer(client, each) for each in asked]
        await until(lambda: stack.pages_saved() >= len(asked) * pages, SAVE_TIMEOUT_S)
        for number in range(100, 100 + 2 * POOL["pages"] // pages):
            await _answer(client, request(number, PROMPT_TOKENS, ANSWER_TOKENS))
        again = [await _answer(client, each) for each in asked]
    await stack.assert_nothing_is_left()
    assert [tokens for tokens, _ in again] == [tokens for tokens, _ in computed]
    assert [loaded for _, loaded in computed] == [0] * len(asked)
    assert [loaded for _, loaded in again] == [PROMPT_TOKENS // page_tokens * page_tokens] * len(asked)


async def _answer(client: Client, message: GenerateRequest) -> tuple[list[int], int]:
    """Its tokens, and how many tokens of the prompt came back from the host."""
    tokens, loaded = list[int](), 0
    async for part in client.generate(message, timeout_s=600):
        tokens += part.token_ids
        loaded += part.finish.usage.loaded_tokens
    return tokens, loaded
