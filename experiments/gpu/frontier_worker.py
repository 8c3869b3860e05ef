"""One phase's engine under an endless load, without services around it; called by vllm_frontier.py.

Run as `python -m experiments.gpu.frontier_worker SETTINGS.json PHASE SMS`: SMS as in gpu.PHASE_sms.
Prints "ready", then one JSON line for each line of stdin: {"chunk": most prompt tokens of a step, "settle_s": time
before the window, "window_s": its length}.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.gpu.frontier import CONTEXT_TOKENS, GREEDY, LONGEST_ANSWER, PROMPT_TOKENS, STREAMS, Intervals
from experiments.gpu.power import PowerMeter
from splitwiser.config.schema import Settings
from splitwiser.engine.base import DecodeEngine, DecodeJob, Phase, PrefillEngine, PrefillJob, StepSpan, StopRule
from splitwiser.engine.factory import load
from splitwiser.engine.memory import memory_of
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.pool import OwnedPages
from splitwiser.memory.devices import mapper_of
from splitwiser.memory.segment import Made
from splitwiser.runtime.worker import take_share
from splitwiser.store.client import StoreClient

IN_FLIGHT = 8
"""Prompts that prefill always has."""


class PrefillLoad:
    """Prompts without end; counts the tokens of each step."""

    def __init__(self) -> None:
        self.engine: PrefillEngine | None = None
        self._steps: list[tuple[int, int]] = []
        self._draw = random.Random(0)

    def observe(self, phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None:
        self._steps.append((time.monotonic_ns(), span.tokens))

    async def stream(self, number: int) -> None:
        assert self.engine
        while True:
            ids = tuple(self._draw.randrange(1, 500) for _ in range(PROMPT_TOKENS))
            prefilled = await self.engine.prefill(PrefillJob(f"{number}", ids, GREEDY))
            self.engine.pages.free(prefilled.pages)

    def result(self, start_ns: int, end_ns: int) -> dict[str, Any]:
        steps, self._steps = self._steps, []
        inside = [tokens for at_ns, tokens in steps if start_ns <= at_ns < end_ns]
        return {"prefill_tokens_per_s": sum(inside) / (end_ns - start_ns) * 1e9, "prefill_steps": len(inside)}


class DecodeLoad:
    """STREAMS sequences that all run through the window; each began with a context that nobody computed."""

    def __init__(self) -> None:
        self.engine: DecodeEngine | None = None
        self._intervals = Intervals()

    def observe(self, phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None:
        """Tokens are counted one by one."""

    async def stream(self, number: int) -> None:
        assert self.engine
        engine, stop = self.engine, StopRule(LONGEST_ANSWER, frozenset())
        pages = engine.pages.allocate(engine.layout.pages_for(CONTEXT_TOKENS + LONGEST_ANSWER))
        taken = self._intervals.stream()
        job = DecodeJob(f"{number}", 7, CONTEXT_TOKENS, pages, GREEDY, stop, lambda _: taken(time.monotonic_ns()))
        try:
            await engine.decode(job)
            raise AssertionError("a stream ended within the window")
        finally:
            engine.pages.free(pages)

    def result(self, start_ns: int, end_ns: int) -> dict[str, Any]:
        intervals, self._intervals = self._intervals, Intervals()
        return intervals.result(start_ns, end_ns)


async def main(settings: Settings, phase: Phase) -> None:
    socket = settings.run_dir / settings.store.socket
    client = await StoreClient.connect(socket, phase, phase, beat_s=3, mapper=mapper_of("cuda"))
    loaded: Any = await load(settings, client, phase)
    share = settings.prefill_pages if phase == "prefill" else settings.decode_pages
    pages = OwnedPages(await take_share(client, share))
    load_: Any = PrefillLoad() if phase == "prefill" else DecodeLoad()
    make = loaded.prefill_engine if phase == "prefill" else loaded.decode_engine
    load_.engine = make(pages, load_.observe)
    if phase == "decode":
        await fill_with_noise(client, loaded.layout)
    running = asyncio.create_task(load_.engine.run())
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await point(load_, loaded, json.loads(line), phase)), flush=True)
    running.cancel()
    await client.close()


async def point(load_: Any, loaded: Any, command: dict[str, Any], phase: Phase) -> dict[str, Any]:
    """One point: start the load, let it settle, and measure."""
    if phase == "prefill":
        # Fewer than prefill.chunk_tokens need no other engine.
        loaded.core.budget.tokens = command["chunk"]
    streams = [asyncio.create_task(load_.stream(n)) for n in range(IN_FLIGHT if phase == "prefill" else STREAMS)]
    await asyncio.sleep(command["settle_s"])
    with PowerMeter() as meter:
        start_ns = time.monotonic_ns()
        await asyncio.sleep(command["window_s"])
        end_ns = time.monotonic_ns()
    for stream in streams:
        if stream.done():
            stream.result()
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    found: dict[str, Any] = load_.result(start_ns, end_ns)
    return found | meter.result()


async def fill_with_noise(client: StoreClient, layout: PoolLayout) -> None:
    """As products of zeros take less power, and so less time."""
    import torch

    segment = await client.obtain("pool", never, layout=layout)
    memory_of("cuda").tensor(segment).view(torch.bfloat16).normal_()
    torch.cuda.synchronize()
    segment.close()


def never() -> Made:
    raise AssertionError("the store has a pool")


if __name__ == "__main__":
    given = Settings.model_validate_json(Path(sys.argv[1]).read_text())
    shared = given.gpu.model_copy(update={f"{sys.argv[2]}_sms": int(sys.argv[3])})
    asyncio.run(main(given.model_copy(update={"gpu": shared}), sys.argv[2]))  # type: ignore[arg-type]
