"""Owns the time that a simulated step takes."""

import asyncio
import time

# Shorter sleeps would cost more than they model: the event loop's timer has a resolution of a millisecond.
GRANULARITY_S = 0.001


class StepCost:
    """Sleeps what steps cost. Small costs are saved up, late wake-ups are deducted: the mean step takes its cost."""

    def __init__(self) -> None:
        self._owed_s = 0.0

    async def pay(self, cost_us: float) -> None:
        """Let the event loop run at least once, and cost_us pass on average."""
        self._owed_s += cost_us / 1e6
        started_s = time.perf_counter()
        await asyncio.sleep(self._owed_s if self._owed_s >= GRANULARITY_S else 0)
        self._owed_s = max(self._owed_s - (time.perf_counter() - started_s), -GRANULARITY_S)
