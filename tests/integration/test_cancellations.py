"""A thousand clients, of whom many leave at any moment: no page, no Redis key and no request stays behind."""

import asyncio
from collections import Counter
from contextlib import aclosing
from random import Random

import pytest

from splitwiser.engine.base import Sampling
from splitwiser.engine.sim.reference import expected_tokens
from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2, sampling_pb2
from tests.support.stack import running_stack

REQUESTS = 1000
AT_ONCE = 48
GREEDY = Sampling(temperature=0, top_p=1, top_k=0, seed=0)


async def ask(client: Client, random: Random) -> str:
    """One request whose client stays to the end, breaks off after some tokens, or is cancelled after some time."""
    prompt = [random.randrange(256) for _ in range(random.choice((1, 16, 100, 700)))]
    count = random.randint(1, 60)
    manner = random.choice(("stays", "breaks off", "is cancelled"))
    most = random.randint(1, count) if manner == "breaks off" else count
    asking = asyncio.create_task(_read(client, prompt, count, most))
    if manner == "is cancelled":
        await asyncio.wait({asking}, timeout=random.choice((0.0, 0.002, 0.01, 0.05, 0.2)))
        asking.cancel()
        await asyncio.wait({asking})
    if asking.cancelled():
        return "is cancelled"
    tokens = asking.result() if asking.done() else await asking
    assert len(tokens) >= most
    assert tokens == expected_tokens(prompt, count, GREEDY)[: len(tokens)], "a token from a wrong page"
    return "breaks off" if len(tokens) < count else "stays"


async def _read(client: Client, prompt: list[int], count: int, most: int) -> list[int]:
    request = inference_pb2.GenerateRequest(
        token_ids=inference_pb2.TokenIds(ids=prompt),
        sampling=sampling_pb2.SamplingParams(temperature=0),
        stop=sampling_pb2.StopConditions(max_tokens=count, ignore_eos=True),
    )
    tokens: list[int] = []
    async with aclosing(client.generate(request, timeout_s=60)) as answer:
        async for message in answer:
            tokens.extend(message.token_ids)
            if len(tokens) >= most:
                break
    return tokens


@pytest.mark.slow
async def test_random_cancellations_leave_nothing_behind() -> None:
    random = Random(1)
    manners: Counter[str] = Counter()
    with running_stack() as stack:
        async with Client(stack.address) as client:
            places = asyncio.Semaphore(AT_ONCE)

            async def one(number: int) -> None:
                async with places:
                    manners[await ask(client, Random(number))] += 1

            await asyncio.gather(*(one(random.getrandbits(32)) for _ in range(REQUESTS)))
            await stack.assert_nothing_is_left()
    assert manners.total() == REQUESTS
    assert min(manners[manner] for manner in ("stays", "breaks off", "is cancelled")) > REQUESTS / 10
