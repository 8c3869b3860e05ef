"""Owns the split side of a prefix measurement: a stack's answers over gRPC, timed at the client."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing

from splitwiser.bench.prefix.rounds import Answered
from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2, sampling_pb2

ANSWER_TIMEOUT_S = 600.0


class SplitStack:
    """An Answerer: prompts of a round go out at once, a few at a time."""

    def __init__(self, client: Client, concurrency: int) -> None:
        self._client = client
        self._places = asyncio.Semaphore(concurrency)

    async def answer(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> Sequence[Answered]:
        """As Answerer has it. Raises what the stack answers."""
        return await asyncio.gather(*(self._answer(prompt, max_tokens) for prompt in prompts))

    async def _answer(self, prompt_ids: Sequence[int], max_tokens: int) -> Answered:
        request = inference_pb2.GenerateRequest(
            token_ids=inference_pb2.TokenIds(ids=prompt_ids),
            sampling=sampling_pb2.SamplingParams(temperature=0),
            stop=sampling_pb2.StopConditions(max_tokens=max_tokens, ignore_eos=True),
        )
        async with self._places:
            token_ids, finish, first_s, sent_s = list[int](), inference_pb2.Finish(), 0.0, time.perf_counter()
            async with aclosing(self._client.generate(request, timeout_s=ANSWER_TIMEOUT_S)) as messages:
                async for message in messages:
                    first_s = first_s or time.perf_counter()
                    token_ids += message.token_ids
                    finish = message.finish
        usage = finish.usage
        return Answered(tuple(token_ids), usage.cached_tokens, usage.loaded_tokens, (first_s - sent_s) * 1e3)
