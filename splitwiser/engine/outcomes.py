"""Owns how the callers of an engine wait: for a result, through cancellation, and no longer than the engine lives."""

import asyncio
from typing import Any, TypeVar
from weakref import WeakSet

from splitwiser.errors import Draining, SplitwiserError, WorkerLost

T = TypeVar("T")


class Outcomes:
    """What the callers of one engine wait for."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._ended: SplitwiserError | None = None
        self._awaited: WeakSet[asyncio.Future[Any]] = WeakSet()

    def expect(self) -> "asyncio.Future[Any]":
        """A future for resolve; it fails when the engine ends. Raises at once when the engine has ended."""
        if self._ended is not None:
            raise self._ended
        future = asyncio.get_running_loop().create_future()
        self._awaited.add(future)
        return future

    def end(self, error: BaseException) -> None:
        """The engine ends by this error: everybody is told, those who come later too."""
        self._ended = self._told(error)
        for future in tuple(self._awaited):
            if not future.done():
                future.set_exception(self._ended)

    def _told(self, error: BaseException) -> SplitwiserError:
        if isinstance(error, SplitwiserError):
            return error
        if isinstance(error, asyncio.CancelledError):
            return Draining(f"the {self._phase} engine has stopped", help="send the request to another worker")
        kind = type(error).__name__
        lost = WorkerLost(f"the {self._phase} engine failed: {kind}", help="try again; see the worker's log")
        lost.__cause__ = error
        return lost


def resolve(outcome: "asyncio.Future[T]", result: T) -> None:
    """Set the result, unless the engine's end came first."""
    if not outcome.done():
        outcome.set_result(result)
