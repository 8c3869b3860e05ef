"""Owns how many prompt tokens a step of prefill may have: as many as are configured, or as decode can stand beside it.

Beside prefill a decode step takes longer by about the time that a chunk's kernels hold the GPU's multiprocessors, and
that grows more slowly than the chunk. So the budget is changed by the square of what the step's time is off by.
"""

from dataclasses import dataclass, field

LEAST_TOKENS = 128
"""Smaller chunks cost prefill much and bring decode little: each reads all weights."""
SHRINK, GROW = 0.5, 1.5
"""Bounds of one change: a single odd step does not decide."""
CALM = 0.9
"""Decode steps below this part of the target leave room for longer chunks."""


@dataclass(slots=True)
class StepBudget:
    """tokens: of the next step, from LEAST_TOKENS (or most, if that is less) to most."""

    most: int
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.most

    def hear(self, decode_step_ms: float, target_ms: float, step_tokens: int) -> None:
        """Decode's steps take so long beside one of step_tokens, and should take at most target_ms. 0: none runs."""
        if not decode_step_ms:
            self.tokens = self.most
            return
        change = (target_ms / decode_step_ms) ** 2
        if change < 1:
            self._set(self.tokens * max(change, SHRINK))
        elif decode_step_ms < CALM * target_ms and step_tokens > self.tokens // 2:
            # A short step says nothing about a long one.
            self._set(self.tokens * min(change, GROW))

    def _set(self, tokens: float) -> None:
        self.tokens = min(self.most, max(LEAST_TOKENS, int(tokens)))
