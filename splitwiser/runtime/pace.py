"""Owns decode's pace on its way to prefill, by the store: how long decode's steps take, and prefill's answer to it."""

import asyncio
from collections.abc import Callable, Sequence

from splitwiser.engine.base import StepSpan
from splitwiser.engine.step_budget import StepBudget
from splitwiser.store.client import StoreClient

TELL_EVERY_S = 0.01
WEIGHT = 0.3
"""Of the newest step in the mean: some steps are longer by chance."""


class PaceTeller:
    """Decode's end."""

    def __init__(self, store: StoreClient) -> None:
        self._store = store
        self._mean_us = 0.0
        self._stepped = asyncio.Event()

    def observe(self, phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None:
        """A step is over."""
        took_us = (span.end_ns - span.start_ns) / 1e3
        self._mean_us += WEIGHT * (took_us - self._mean_us) if self._mean_us else took_us
        self._stepped.set()

    async def run(self, running_count: Callable[[], int]) -> None:
        """Tell the store until cancelled, and once when nothing runs any more."""
        while True:
            await self._stepped.wait()
            self._stepped.clear()
            await self._store.tell_pace(round(self._mean_us))
            await asyncio.sleep(TELL_EVERY_S)
            if not running_count():
                self._mean_us = 0.0
                await self._store.tell_pace(0)


class PaceFollower:
    """Prefill's end."""

    def __init__(self, store: StoreClient, target_ms: float) -> None:
        self._store = store
        self._target_ms = target_ms
        self._step_tokens = 0
        self._stepped = asyncio.Event()

    def observe(self, phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None:
        """A step is over."""
        self._step_tokens = span.tokens
        self._stepped.set()

    async def run(self, budget: StepBudget) -> None:
        """After each step ask for decode's pace, and fit the budget of the next ones to it, until cancelled."""
        while True:
            await self._stepped.wait()
            self._stepped.clear()
            step_us = await self._store.pace()
            budget.hear(step_us / 1e3, self._target_ms, self._step_tokens)
