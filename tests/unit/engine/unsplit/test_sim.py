"""The simulated engine without a split: the same tokens as the split one, in steps that hold both phases."""

import asyncio
import contextlib

from splitwiser.config.schema import Settings
from splitwiser.engine.base import Sampling
from splitwiser.engine.sim.reference import expected_tokens
from splitwiser.engine.unsplit.base import WholeEngine, WholeJob, load

GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, seed=0)
Told = tuple[str, int, int, int, int, int | None]


async def answers(engine: WholeEngine, prompts: list[list[int]], tokens: int) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in prompts]
    running = asyncio.create_task(engine.run())
    jobs = [
        WholeJob(str(index), tuple(prompt), tokens, GREEDY, found[index].append) for index, prompt in enumerate(prompts)
    ]
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(engine.generate(job) for job in jobs))
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    return found


def fast(**sections: object) -> Settings:
    sim = {"prefill_us_per_token": 0, "decode_step_us": 0, "decode_us_per_sequence": 0}
    return Settings.model_validate({"engine": {"kind": "sim"}, "sim": sim, **sections})


async def test_tokens_are_the_sim_engines_own() -> None:
    prompts = [[65 + at % 20 + index for at in range(5 + 30 * index)] for index in range(5)]
    engine = await load(fast(prefill={"chunk_tokens": 16}, decode={"max_batch": 3}), lambda *_: None)
    assert await answers(engine, prompts, 6) == [expected_tokens(prompt, 6, GREEDY) for prompt in prompts]


async def test_no_step_has_more_tokens_than_its_budget_and_some_hold_both_phases() -> None:
    told: list[Told] = []
    engine = await load(fast(prefill={"chunk_tokens": 16}), lambda *step: told.append(step))
    await answers(engine, [[66] * 100 for _ in range(4)], 20)
    assert max(tokens for *_, tokens, _ in told) == 16
    assert {"prefill", "mixed", "decode"} == {phase for phase, *_ in told}
    assert sum(tokens for *_, tokens, _ in told) == 4 * (100 + 19)


async def test_requests_wait_for_pages() -> None:
    told: list[Told] = []
    engine = await load(fast(pool={"pages": 8, "page_tokens": 16}), lambda *step: told.append(step))
    await answers(engine, [[66] * 60 for _ in range(4)], 4)
    assert max(pages or 0 for *_, pages in told) <= 8


async def test_a_request_that_is_cancelled_leaves_its_place() -> None:
    engine = await load(fast(decode={"max_batch": 1}, sim={"decode_step_us": 1000}), lambda *_: None)
    running = asyncio.create_task(engine.run())
    first = asyncio.create_task(engine.generate(WholeJob("a", (66,), 100_000, GREEDY, lambda _: None)))
    await asyncio.sleep(0.05)
    first.cancel()
    tokens: list[int] = []
    async with asyncio.timeout(60):
        await engine.generate(WholeJob("b", (66,), 3, GREEDY, tokens.append))
    running.cancel()
    assert tokens == expected_tokens([66], 3, GREEDY)
