"""Owns the answer to one question: for how long has the step in flight been running?"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StepWatch:
    """Kept by an engine's loop, read by the worker's watchdog, on one thread. clock: monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started_s: float | None = None

    @contextmanager
    def step(self) -> Iterator[None]:
        """A step is in flight for the length of the block."""
        self._started_s = self._clock()
        try:
            yield
        finally:
            self._started_s = None

    @property
    def age_s(self) -> float:
        """Seconds since the step in flight began; 0 when there is none."""
        return 0.0 if self._started_s is None else self._clock() - self._started_s
