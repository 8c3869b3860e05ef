"""The runners: what they return for each piece of work, and that the event loop goes on while they compute."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from splitwiser.engine.batch import DecodeSlot, PrefillChunk
from splitwiser.engine.transformers.build import load
from splitwiser.engine.transformers.reference import Reference
from splitwiser.memory.local_segments import LocalSegments
from tests.unit.engine.transformers.serving import GREEDY, settings_of

PROMPT = tuple(range(50, 90))
PAGES = (7, 3, 12)


async def test_only_a_chunk_that_completes_its_prompt_brings_a_token(tiny_model: Callable[[str], Path]) -> None:
    runner = (await load(settings_of(tiny_model("llama"), pages=16), LocalSegments())).prefill_runner()
    first, rest = (PrefillChunk("a", PROMPT, start, end, PAGES, GREEDY) for start, end in ((0, 30), (30, 40)))
    short = PrefillChunk("b", (1, 2, 3), 0, 3, (5,), GREEDY)
    expected = [Reference(str(tiny_model("llama"))).generate(ids, 1)[0] for ids in (PROMPT, (1, 2, 3))]
    assert list(await runner.run([first])) == [None]
    assert list(await runner.run([rest, short])) == expected
    assert list(await runner.run([short, first])) == [expected[1], None]


async def test_the_event_loop_goes_on_during_a_step(tiny_model: Callable[[str], Path]) -> None:
    loaded = await load(settings_of(tiny_model("llama"), pages=16), LocalSegments())
    step = asyncio.ensure_future(loaded.decode_runner().run([DecodeSlot("a", 5, 39, 1, PAGES, GREEDY)]))
    turns = 0
    while not step.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 1
    assert len(step.result()) == 1
