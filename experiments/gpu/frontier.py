"""Owns the load that both sides of the frontier get, and how times between tokens become figures."""

from collections.abc import Callable
from statistics import fmean, quantiles
from typing import Any

from splitwiser.engine.base import Sampling

STREAMS = 128
CONTEXT_TOKENS = 1280
"""Of each stream at its start. With what it generates before and in the window, about 1.5k."""
LONGEST_ANSWER = 1024
PROMPT_TOKENS = 2048
GREEDY = Sampling(temperature=0, top_p=1, top_k=0, seed=0)


class Intervals:
    """Times between the tokens of each stream."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int]] = []

    def stream(self) -> Callable[[int], None]:
        """A stream's own: takes the time of each of its tokens, in nanoseconds."""
        last_ns = 0

        def take(at_ns: int) -> None:
            nonlocal last_ns
            if last_ns:
                self._found.append((at_ns, at_ns - last_ns))
            last_ns = at_ns

        return take

    def result(self, start_ns: int, end_ns: int) -> dict[str, Any]:
        """Figures of the tokens that came in this time."""
        inside = [interval_ns / 1e6 for at_ns, interval_ns in self._found if start_ns <= at_ns < end_ns]
        cuts = quantiles(inside, n=100)
        return {
            "decode_tokens_per_s": len(inside) / (end_ns - start_ns) * 1e9,
            "itl_ms": {"mean": fmean(inside), "p50": cuts[49], "p90": cuts[89], "p99": cuts[98], "max": max(inside)},
        }
