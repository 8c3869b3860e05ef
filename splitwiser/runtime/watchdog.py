"""Owns the end of a worker whose device is stuck: its event loop runs and answers, but a step does not end any more.

Nothing in this process can end that step, and whoever waits for it waits for ever: so the worker says that it is
neither ready nor alive, and leaves without waiting. Its end frees its pages at the store, and it is started again. An
event loop that hangs itself is not seen here: it sends no beats, and the store's lease ends the worker.
"""

import asyncio
import logging
import os
import sys
from typing import NoReturn

from splitwiser.engine.base import DecodeEngine, PrefillEngine
from splitwiser.errors import WorkerLost
from splitwiser.rpc.health import Health

CHECKS_PER_TIMEOUT = 20
MAX_CHECK_S = 1.0
TOLD_S = 0.1
"""How long those who watch the worker's health have to hear of it before it is gone."""
EXIT_FAILED = 1


async def watch_steps(engine: PrefillEngine | DecodeEngine, health: Health, timeout_s: float) -> None:
    """Look until cancelled; end the process once a step has run for longer than timeout_s."""
    while True:
        await asyncio.sleep(min(timeout_s / CHECKS_PER_TIMEOUT, MAX_CHECK_S))
        if engine.steps.age_s > timeout_s:
            break
    await health.set_alive(False)
    await health.set_serving(False)
    await asyncio.sleep(TOLD_S)
    _leave(timeout_s)


def _leave(timeout_s: float) -> NoReturn:
    error = WorkerLost(
        f"an engine step has not ended for {timeout_s:g} s: the device is stuck, so this worker ends",
        help="it is started again; if that repeats, look at the device, or raise engine.step_timeout_s",
    )
    print(f"error: {error}", file=sys.stderr, flush=True)
    logging.shutdown()
    os._exit(EXIT_FAILED)
