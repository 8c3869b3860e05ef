"""Prompts that are cancelled in a vllm prefill engine give others what they had, wherever they stood."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from splitwiser.config.schema import Settings
from splitwiser.engine.base import PrefillEngine, PrefillJob, Sampling, StepSpan
from splitwiser.engine.step_gate import StepGate
from splitwiser.engine.vllm.build import Loaded, load
from splitwiser.kv.pool import OwnedPages
from splitwiser.memory.local_segments import LocalSegments
from tests.support.waiting import until

# vLLM's import meets what torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore")

PAGES = 20
PAGE_TOKENS = 32
GREEDY = Sampling(temperature=0, top_p=1, top_k=0, seed=0)


@pytest.fixture(scope="module")
def loaded(tiny_llama: str) -> Iterator[Loaded]:
    """vLLM in this process, with chunks of two pages."""
    settings = Settings.model_validate(
        {
            "engine": {"kind": "vllm", "model": tiny_llama},
            "pool": {"pages": PAGES},
            "prefill": {"chunk_tokens": 2 * PAGE_TOKENS},
        }
    )
    environment, segments = dict(os.environ), LocalSegments()
    yield asyncio.run(load(settings, segments, "prefill"))
    segments.close()
    os.environ.clear()
    os.environ.update(environment)


@asynccontextmanager
async def running(loaded: Loaded, *, paused: bool = False) -> AsyncIterator[PrefillEngine]:
    """An engine with the whole pool; one that is paused closes its gate with its first step."""
    gates: list[StepGate] = []

    def observe(phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None:
        if paused:
            gates[0].close()

    engine = loaded.prefill_engine(OwnedPages(range(PAGES)), observe)
    gates.append(engine.gate)
    loop = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        loop.cancel()
        await asyncio.wait([loop])


def prefilling(engine: PrefillEngine, name: str, pages: int) -> "asyncio.Task[object]":
    return asyncio.create_task(engine.prefill(PrefillJob(name, tuple(range(1, pages * PAGE_TOKENS + 1)), GREEDY)))


async def test_whoever_stood_behind_a_cancelled_prompt_gets_the_pages_that_are_free(loaded: Loaded) -> None:
    async with running(loaded) as engine:
        engine.pages.allocate(PAGES - 5)
        long = prefilling(engine, "long", 10)
        short = prefilling(engine, "short", 2)
        await until(lambda: engine.waiting_count == 2)
        long.cancel()
        done, _ = await asyncio.wait([short], timeout=10)
        assert done


async def test_a_pause_keeps_no_pages_of_those_who_are_gone(loaded: Loaded) -> None:
    async with running(loaded, paused=True) as engine:
        halfway = prefilling(engine, "halfway", 6)
        await until(lambda: not engine.gate.is_open)
        new = prefilling(engine, "new", 6)
        await until(lambda: engine.running_count == 2)
        halfway.cancel()
        new.cancel()
        done, _ = await asyncio.wait([halfway, new], timeout=10)
        assert len(done) == 2
        assert engine.pages.free_count == PAGES
        assert not engine.gate.is_open
        engine.gate.open()
        next_one = prefilling(engine, "next", 2)
        await asyncio.wait([next_one], timeout=10)
        assert next_one.result()
