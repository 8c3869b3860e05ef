"""Owns how a task of the router is ended by whoever started it."""

import asyncio
from typing import Any


async def cancel_and_wait(task: "asyncio.Task[Any]") -> None:
    """Cancel what still runs and wait for its end, so that its pages and places are free afterwards.

    Whatever the task ended with has been seen by then, or is of no interest any more.
    """
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
