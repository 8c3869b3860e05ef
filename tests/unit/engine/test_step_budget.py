"""Prefill's steps are as long as decode can stand beside them, and never longer than configured."""

import math
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitwiser.engine.step_budget import CALM, LEAST_TOKENS, StepBudget

TARGET_MS = 25.0


def beside(tokens: int, alone_ms: float) -> float:
    """A decode step beside a chunk, by the shape that an H200 showed: + 9.0 ms at 512 tokens, 18.6 at 2,048."""
    return alone_ms + 9.0 * math.pow(tokens / 512, 0.52)


def follow(budget: StepBudget, alone_ms: float, steps: int = 30) -> float:
    """Decode's step time after so many of prefill's steps, each of which is full."""
    for _ in repeat(None, steps):
        budget.hear(beside(budget.tokens, alone_ms), TARGET_MS, budget.tokens)
    return beside(budget.tokens, alone_ms)


@pytest.mark.parametrize("alone_ms", [5.0, 9.0, 12.0, 15.0])
def test_decode_steps_come_to_the_target_and_prefill_takes_what_is_left(alone_ms: float) -> None:
    budget = StepBudget(8192)
    step_ms = follow(budget, alone_ms)
    assert CALM * TARGET_MS * 0.95 <= step_ms <= TARGET_MS * 1.02


def test_chunks_grow_again_when_streams_end() -> None:
    budget = StepBudget(8192)
    follow(budget, 15.0)
    few = budget.tokens
    follow(budget, 5.0)
    assert budget.tokens > 2 * few


def test_a_target_that_no_chunk_can_keep_leaves_the_least() -> None:
    budget = StepBudget(8192)
    follow(budget, 40.0)
    assert budget.tokens == LEAST_TOKENS


def test_without_a_running_stream_nothing_is_held_back() -> None:
    budget = StepBudget(8192)
    follow(budget, 40.0)
    budget.hear(0, TARGET_MS, 1)
    assert budget.tokens == 8192


def test_a_short_step_is_no_reason_for_longer_ones() -> None:
    budget = StepBudget(8192)
    follow(budget, 15.0)
    few = budget.tokens
    for _ in range(10):
        budget.hear(6.0, TARGET_MS, few // 4)
    assert budget.tokens == few


times = st.floats(0.001, 1e6)


@given(
    most=st.integers(1, 20_000),
    heard=st.lists(st.tuples(st.just(0.0) | times, times, st.integers(0, 20_000))),
)
def test_it_stays_within_its_bounds_whatever_it_hears(most: int, heard: list[tuple[float, float, int]]) -> None:
    budget = StepBudget(most)
    for step_ms, target_ms, tokens in heard:
        budget.hear(step_ms, target_ms, tokens)
        assert min(most, LEAST_TOKENS) <= budget.tokens <= most
