"""Owns work that must end though its caller is gone: a store call that was sent is always awaited to its end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from splitwiser.errors import SplitwiserError

Result = TypeVar("Result")


class Background:
    """Work that must end though nobody waits for it any more."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def finish_or_undo(self, work: Awaitable[Result], undo: Callable[[Result], Awaitable[None]]) -> Result:
        """Await work. If the caller is cancelled meanwhile, let work end in the background and then undo it."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.start(_undo_after(task, undo))
            raise

    def start(self, work: Awaitable[None]) -> None:
        """Run work with nobody waiting; a refusal by the store means that there is nothing left to do."""
        task = asyncio.ensure_future(_unless_refused(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _undo_after(task: "asyncio.Future[Result]", undo: Callable[[Result], Awaitable[None]]) -> None:
    await undo(await task)


async def _unless_refused(work: Awaitable[None]) -> None:
    try:
        await work
    except SplitwiserError:
        return
