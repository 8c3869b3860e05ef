"""Owns a wait that outlasts cancellations, for what must not be left half-way."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def settled(future: "asyncio.Future[T]", on_cancel: Callable[[], None]) -> T:
    """Wait until future is done, through cancellations: each one calls on_cancel and is raised only afterwards."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError:
            cancelled = True
            on_cancel()
    if not cancelled:
        return future.result()
    if not future.cancelled():
        future.exception()  # Looked at here, or asyncio logs it as never retrieved.
    raise asyncio.CancelledError
