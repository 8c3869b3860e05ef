"""Owns what is asked of engines that start on a live pool: they write to none of its pages, and disturb no request.

On a CPU and on a GPU the same, so the tests of both call these.
"""

import asyncio
from random import Random

from splitwiser.bench.verify.gpu_pool import view_of_pool
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest, TokenIds
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.stack import RunningStack
from tests.support.waiting import until

RESTART_TIMEOUT_S = 240
# No page that holds KV of the model is a row of equal bytes.
PATTERN = 0x5A


def request(number: int, prompt_tokens: int, max_tokens: int, temperature: float = 0) -> GenerateRequest:
    """Random tokens, the same for the same number."""
    random = Random(number)
    return GenerateRequest(
        token_ids=TokenIds(ids=[random.randrange(1, 512) for _ in range(prompt_tokens)]),
        sampling=SamplingParams(temperature=temperature, seed=number),
        stop=StopConditions(max_tokens=max_tokens, ignore_eos=True),
    )


async def tokens_of(client: Client, message: GenerateRequest) -> list[int]:
    stream = client.generate(message, timeout_s=600)
    return [token_id async for answer in stream for token_id in answer.token_ids]


async def all_tokens_of(client: Client, messages: list[GenerateRequest]) -> list[list[int]]:
    return await asyncio.gather(*(tokens_of(client, message) for message in messages))


async def restart(stack: RunningStack, instance: str) -> None:
    await stack.back(instance, stack.kill(instance), RESTART_TIMEOUT_S)


async def check_a_start_writes_to_no_page(stack: RunningStack, instance: str) -> None:
    # What ended requests left for prompts that begin like theirs is lost by this: nobody asks for these again.
    number = 100 + len(instance)
    async with view_of_pool(stack.settings, stack.pid("store")) as pool:
        pool.fill(PATTERN)
        await restart(stack, instance)
        assert pool.written_pages() == set()
        async with Client(stack.address) as client:
            assert len(await tokens_of(client, request(number, 40, 40))) == 40
        assert len(pool.written_pages()) == pool.layout.pages_for(79), "the same pages are what requests write to"


async def check_prefill_restarts_while_decode_runs(stack: RunningStack, max_tokens: int) -> None:
    running = [request(number, 70, max_tokens) for number in range(6)]
    async with Client(stack.address) as client:
        answers = asyncio.create_task(all_tokens_of(client, running))
        await until(lambda: stack.pages_in_use() > 0, RESTART_TIMEOUT_S)
        await asyncio.sleep(1)
        await restart(stack, "prefill-0")
        assert not answers.done(), "the restart came too late to prove anything"
        disturbed = await answers
        assert disturbed == await all_tokens_of(client, running)
    await stack.assert_nothing_is_left()


async def check_decode_restarts_while_prefill_holds_granted_pages(stack: RunningStack) -> None:
    # Beginnings that no other test has sent: each prompt then fills and grants all of its pages.
    prompts = [request(number, 900, 20) for number in range(200, 208)]
    pages = 900 // stack.settings.pool.page_tokens
    async with Client(stack.address) as client:
        dead = stack.kill("decode-0")
        answers = asyncio.create_task(all_tokens_of(client, prompts))
        while (await stack.counts()).granted < 8 * pages:
            assert stack.pid("decode-0") == dead or not stack.is_ready("decode-0")
            await asyncio.sleep(0.05)
        await stack.back("decode-0", dead, RESTART_TIMEOUT_S)
        disturbed = await answers
        assert disturbed == await all_tokens_of(client, prompts)
    await stack.assert_nothing_is_left()


async def check_requests_of_a_dead_decode_go_on_in_mid_stream(
    stack: RunningStack, max_tokens: int, sampling: SamplingParams | None = None
) -> None:
    prompts = [request(number, 100, max_tokens) for number in range(6)]
    for prompt in prompts:
        prompt.sampling.CopyFrom(sampling or prompt.sampling)
    async with Client(stack.address) as client:
        undisturbed = await all_tokens_of(client, prompts)
        received = 0

        async def counted(message: GenerateRequest) -> list[int]:
            nonlocal received
            tokens: list[int] = []
            async for answer in client.generate(message, timeout_s=600):
                tokens += answer.token_ids
                received += len(answer.token_ids)
            return tokens

        answers = [asyncio.create_task(counted(prompt)) for prompt in prompts]
        await until(lambda: received > 6 * 50, RESTART_TIMEOUT_S)
        assert not any(answer.done() for answer in answers)
        await restart(stack, "decode-0")
        assert await asyncio.gather(*answers) == undisturbed
    await stack.assert_nothing_is_left()
