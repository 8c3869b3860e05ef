"""Decode's steps take at most the target on average, prefill pauses only while they do not, and never for long."""

import asyncio
import math
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitwiser.engine.base import StepSpan
from splitwiser.engine.step_gate import StepGate
from splitwiser.runtime.pace import LONGEST_PAUSE, MOST_BEHIND, Arrears, PaceFollower, PaceTeller
from splitwiser.store.client import StoreClient
from tests.support.waiting import until

TARGET_MS = 24.0


def beside(tokens: int, alone_ms: float) -> float:
    """A decode step beside a chunk, by the shape that an H200 showed: + 9.0 ms at 512 tokens, 18.6 at 2,048."""
    return alone_ms + 9.0 * math.pow(tokens / 512, 0.52)


@pytest.mark.parametrize("alone_ms", [5.0, 10.0, 15.0, 20.0])
@pytest.mark.parametrize("chunk_tokens", [1024, 4096])
def test_while_prompts_never_end_decode_has_the_target_and_prefill_the_rest(chunk_tokens: int, alone_ms: float) -> None:
    """Prefill is paused at the ends of decode's steps alone: its own step lasts some of them."""
    arrears, steps_ms, in_step = Arrears(TARGET_MS), [], 0
    for _ in range(3000):
        if not in_step and not arrears.behind_ms:
            in_step = max(1, round(chunk_tokens / 1000))
        steps_ms.append(beside(chunk_tokens, alone_ms) if in_step else alone_ms)
        arrears.add(steps_ms[-1])
        in_step -= in_step > 0
    mean_ms = sum(steps_ms) / len(steps_ms)
    slack_ms = TARGET_MS - alone_ms
    assert TARGET_MS - slack_ms < mean_ms <= TARGET_MS * 1.01
    if beside(chunk_tokens, alone_ms) > TARGET_MS + slack_ms:
        assert mean_ms > TARGET_MS - slack_ms / 2, "prefill pauses no longer than it must"


@given(st.lists(st.floats(0, 1000), max_size=60))
def test_nobody_is_ahead_or_far_behind(steps_ms: list[float]) -> None:
    arrears = Arrears(TARGET_MS)
    for step_ms in steps_ms:
        arrears.add(step_ms)
        assert 0 <= arrears.behind_ms <= MOST_BEHIND * TARGET_MS


class Store:
    """What both ends have of the store."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        self.is_caught_up = asyncio.Event()

    async def tell_pace(self, *, behind: bool) -> None:
        self.told.append(behind)

    async def caught_up(self) -> None:
        await self.is_caught_up.wait()


def span(took_ms: float) -> StepSpan:
    return StepSpan(0, int(took_ms * 1e6), 1)


async def test_decode_tells_changes_alone_and_that_nothing_runs_any_more() -> None:
    store, running = Store(), [1]
    teller = PaceTeller(cast(StoreClient, store), TARGET_MS)
    task = asyncio.create_task(teller.run(lambda: running[0]))
    for took_ms in (10, 40, 40, 5, 5, 60):
        teller.observe("decode", span(took_ms), 1, ["a"])
        for _ in range(5):
            await asyncio.sleep(0)
    await until(lambda: store.told == [True, False, True])
    running[0] = 0
    await until(lambda: store.told == [True, False, True, False])
    task.cancel()
    await asyncio.wait([task])


async def test_the_gate_opens_when_decode_has_caught_up_and_after_the_longest_pause_in_any_case() -> None:
    store, gate, paused_s = Store(), StepGate(), list[float]()
    follower = PaceFollower(cast(StoreClient, store), lambda: gate, paused_s.append)
    task = asyncio.create_task(follower.run(lambda: 1))
    follower.observe("prefill", span(3_600_000), 1, ["a"])
    await asyncio.sleep(0.05)
    assert not gate.is_open
    store.is_caught_up.set()
    await until(lambda: gate.is_open)
    store.is_caught_up.clear()
    follower.observe("prefill", span(20), 1, ["a"])
    assert not gate.is_open
    await until(lambda: gate.is_open)
    assert paused_s[1] >= LONGEST_PAUSE * 0.02
    task.cancel()
    await asyncio.wait([task])


async def test_what_nobody_waited_for_is_no_pause() -> None:
    """The gate is closed all the same: a prompt that came would be held back."""
    store, gate, paused_s, prompts = Store(), StepGate(), list[float](), [0]
    follower = PaceFollower(cast(StoreClient, store), lambda: gate, paused_s.append)
    task = asyncio.create_task(follower.run(lambda: prompts[0]))
    follower.observe("prefill", span(5), 1, ["a"])
    assert not gate.is_open
    await until(lambda: gate.is_open)
    assert not paused_s
    prompts[0] = 1
    follower.observe("prefill", span(5), 1, ["b"])
    await until(lambda: gate.is_open)
    assert paused_s
    task.cancel()
    await asyncio.wait([task])
