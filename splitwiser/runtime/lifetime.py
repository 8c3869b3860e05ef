"""Owns how long a service serves: until it is told to stop, or what it works with breaks."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from splitwiser.rpc.server import Server


async def serve_until(stop: asyncio.Event, server: Server, *background: Coroutine[Any, Any, None]) -> None:
    """Serve until stop is set; then drain, with the background work still going on for the calls in flight.

    Raises at once what ended any of the background work, which is to last as long as the service, its drain included.
    """
    draining = asyncio.create_task(_drain_at(stop, server))
    working = [asyncio.create_task(work) for work in background]
    try:
        await asyncio.wait({draining, *working}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*working, draining):
            if task.done():
                server.lame_duck_s = server.grace_s = 0.0
                task.result()
    finally:
        for end in (draining, *working):
            end.cancel()
        await asyncio.wait({draining, *working})
        if stop.is_set():
            # A drain that was cut short has ended no call, and another one does nothing.
            await server.grpc_server.stop(None)


async def _drain_at(stop: asyncio.Event, server: Server) -> None:
    await stop.wait()
    await server.drain()
