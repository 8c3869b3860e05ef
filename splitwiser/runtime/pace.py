"""Owns decode's pace on its way to prefill, by the store: whether decode's steps are behind, and prefill's pauses.

A token bucket of decode's time. Beside a chunk of a prompt decode's steps take longer than they may on average; with
prefill paused they take less, and when that has made up for it, prefill goes on. Chunks stay long, which costs least.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from splitwiser.engine.base import StepSpan
from splitwiser.engine.step_gate import StepGate
from splitwiser.store.client import StoreClient

MOST_BEHIND = 8.0
"""In steps of the target: what is beyond is forgiven, lest one slow moment hold prompts back for long."""
LONGEST_PAUSE = 4.0
"""In prefill's own steps: where no pause helps, as decode alone is slower than the target, prompts still get a fifth of
the time."""
IDLE_S = 0.02
"""How soon it is seen that a decode worker which is behind has nothing left to do."""


@dataclass(slots=True)
class Arrears:
    """How far decode's steps are behind: what they took beyond the target, less what shorter ones have made up for."""

    target_ms: float
    behind_ms: float = 0.0

    def add(self, step_ms: float) -> None:
        """A step is over."""
        self.behind_ms = min(max(0.0, self.behind_ms + step_ms - self.target_ms), MOST_BEHIND * self.target_ms)


class PaceTeller:
    """Decode's end."""

    def __init__(self, store: StoreClient, target_ms: float) -> None:
        self._store = store
        self._arrears = Arrears(target_ms)
        self._stepped = asyncio.Event()

    def observe(self, phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None:
        """A step is over."""
        self._arrears.add((span.end_ns - span.start_ns) / 1e6)
        self._stepped.set()

    async def run(self, running_count: Callable[[], int]) -> None:
        """Tell the store, each time when it changes, whether this worker is behind, until cancelled."""
        told = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S if told else None):
                    await self._stepped.wait()
            self._stepped.clear()
            if not running_count():
                self._arrears.behind_ms = 0.0
            if told != (behind := self._arrears.behind_ms > 0):
                await self._store.tell_pace(behind=behind)
                told = behind


class PaceFollower:
    """Prefill's end."""

    def __init__(self, store: StoreClient, gate: Callable[[], StepGate], paused: Callable[[float], None]) -> None:
        self._store = store
        self._gate = gate
        self._paused = paused
        self._took_s = 0.0
        self._stepped = asyncio.Event()

    def observe(self, phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None:
        """A step is over: the next one waits for run."""
        self._took_s = (span.end_ns - span.start_ns) / 1e9
        self._gate().close()
        self._stepped.set()

    async def run(self, prompts: Callable[[], int]) -> None:
        """After each step open the gate once no decode worker is behind, and soon in any case, until cancelled.

        prompts: how many there are; without any, nothing was paused.
        """
        while True:
            await self._stepped.wait()
            self._stepped.clear()
            since_s = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_PAUSE * self._took_s):
                    await self._store.caught_up()
            if prompts():
                self._paused(time.monotonic() - since_s)
            self._gate().open()
