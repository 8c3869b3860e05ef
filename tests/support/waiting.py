"""Owns how a test waits for what it cannot await."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], bool], timeout_s: float) -> float:
    """Seconds until the condition held."""
    started_s = time.monotonic()
    while not condition():
        assert time.monotonic() - started_s < timeout_s, "not in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - started_s
