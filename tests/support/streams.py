"""Owns clients of a sim stack: each knows every token that it must get, so that a wrong one, or a gap, shows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from splitwiser.engine.base import Sampling
from splitwiser.engine.sim.reference import expected_tokens
from splitwiser.errors import DeadlineExceeded, WorkerLost
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import Finish, GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.waiting import until


@dataclass
class Stream:
    """What one client has of its request."""

    text: str
    max_tokens: int
    temperature: float = 0.0
    stop: Sequence[str] = ()
    seed: int = 11
    timeout_s: float = 60.0
    tokens: list[int] = field(default_factory=list)
    answer: str = ""
    finish: Finish | None = None
    error: Exception | None = None
    longest_gap_s: float = 0.0
    """Between two messages."""

    async def run(self, client: Client) -> None:
        conditions = StopConditions(max_tokens=self.max_tokens, ignore_eos=True, stop=self.stop)
        sampling = SamplingParams(temperature=self.temperature, seed=self.seed)
        request = GenerateRequest(text=self.text, sampling=sampling, stop=conditions)
        before_s = 0.0
        try:
            async for message in client.generate(request, timeout_s=self.timeout_s):
                now_s = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now_s - (before_s or now_s))
                before_s = now_s
                self.tokens += message.token_ids
                self.answer += message.text
                if message.HasField("finish"):
                    self.finish = message.finish
        except (WorkerLost, DeadlineExceeded) as error:
            self.error = error

    async def expected(self, client: Client) -> list[int]:
        sampling = Sampling(self.temperature, 1.0, 0, self.seed)
        return expected_tokens(await client.tokenize(self.text), self.max_tokens, sampling)


def mixed_streams(count: int, max_tokens: int) -> list[Stream]:
    """Every other one drawn, the rest greedy; prompts from one token to several pages."""
    return [
        Stream(f"request {index} " * (1 + index % 7), max_tokens, temperature=0.8 * (index % 2), seed=index)
        for index in range(count)
    ]


async def in_mid_stream(streams: Sequence[Stream], tokens: int) -> None:
    """Wait until each client has that many tokens."""
    await until(lambda: all(len(stream.tokens) >= tokens for stream in streams))
