"""Owns how a test waits for what it cannot await."""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""For what takes a moment: a machine with other work may stand still for seconds."""


async def until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> float:
    """Seconds until the condition held."""
    started_s = time.monotonic()
    while not condition():
        assert time.monotonic() - started_s < timeout_s, f"not within {timeout_s:g} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - started_s
