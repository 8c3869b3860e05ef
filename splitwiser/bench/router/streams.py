"""Owns the client side of the router's benchmark: a process of its own, so that the router's is left alone.

Called as `python -m splitwiser.bench.router.streams` with the fields of Plan as JSON; prints Window as JSON.
"""

import asyncio
import json
import sys
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Self

from splitwiser.bench.process import cpu_seconds
from splitwiser.bench.prompts import random_words
from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2, sampling_pb2


@dataclass(frozen=True, slots=True)
class Plan:
    """What to stream: streams requests at any time, each followed by the next, measured after warmup_s for window_s."""

    address: str
    router_pid: int
    streams: int
    warmup_s: float
    window_s: float
    prompt_tokens: int
    output_tokens: int
    idle_requests: int


@dataclass(slots=True)
class Counts:
    """Totals since the start. messages are those that carried tokens."""

    tokens: int = 0
    messages: int = 0
    text_chars: int = 0
    requests: int = 0

    def since(self, start: Self) -> "Counts":
        """What was added after start."""
        return Counts(*(getattr(self, name) - getattr(start, name) for name in Counts.__slots__))


@dataclass(frozen=True, slots=True)
class Window:
    """What came in the window, what the processes spent in it, and the hand-offs of single requests before it."""

    counts: Counts
    wall_s: float
    router_cpu_s: float
    client_cpu_s: float
    handoffs_ms: list[float]


async def measure(plan: Plan) -> Window:
    """The hand-offs of requests sent one by one, then the window under load."""
    async with Client(plan.address) as client:
        handoffs_ms = [await _handoff_ms(client, plan, seed) for seed in range(plan.idle_requests)]
        counts = Counts()
        streams = [asyncio.create_task(_stream(client, plan, index, counts)) for index in range(plan.streams)]
        try:
            await asyncio.sleep(plan.warmup_s)
            before, at_start = _moment(plan, counts), time.perf_counter()
            done, _ = await asyncio.wait(streams, timeout=plan.window_s, return_when=asyncio.FIRST_EXCEPTION)
            after, wall_s = _moment(plan, counts), time.perf_counter() - at_start
        finally:
            for stream in streams:
                stream.cancel()
            await asyncio.wait(streams)
        for stream in done:
            await stream
    counted = after[0].since(before[0])
    return Window(counted, wall_s, after[1] - before[1], after[2] - before[2], handoffs_ms)


def _moment(plan: Plan, counts: Counts) -> tuple[Counts, float, float]:
    return Counts(**asdict(counts)), cpu_seconds(plan.router_pid), time.process_time()


async def _stream(client: Client, plan: Plan, index: int, counts: Counts) -> None:
    """One request after the other, until cancelled. A request that fails ends the measurement."""
    seed = 1_000_000 * (index + 1)
    # First answers of different lengths keep the streams from ending, and starting anew, all at once.
    output_tokens = 1 + plan.output_tokens * index // plan.streams
    while True:
        async with aclosing(client.generate(_request(plan, seed, output_tokens))) as answer:
            async for message in answer:
                counts.tokens += len(message.token_ids)
                counts.messages += bool(message.token_ids)
                counts.text_chars += len(message.text)
        counts.requests += 1
        seed, output_tokens = seed + 1, plan.output_tokens


async def _handoff_ms(client: Client, plan: Plan, seed: int) -> float:
    async with aclosing(client.generate(_request(plan, seed, 4))) as answer:
        async for message in answer:
            if message.HasField("finish"):
                return message.finish.timings.grant_to_first_step_ms
    raise RuntimeError("the answer had no end")


def _request(plan: Plan, seed: int, output_tokens: int) -> inference_pb2.GenerateRequest:
    return inference_pb2.GenerateRequest(
        text=random_words(plan.prompt_tokens, seed=seed)[: plan.prompt_tokens],
        sampling=sampling_pb2.SamplingParams(temperature=0),
        stop=sampling_pb2.StopConditions(max_tokens=output_tokens, ignore_eos=True),
        include_timings=True,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(measure(Plan(**json.loads(sys.argv[1])))))))
