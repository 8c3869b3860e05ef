"""Owns an engine's only loop, schedule -> run -> postprocess, and how its callers wait for their outcomes.

Schedulers and outcomes live on the event loop's thread; only the runner may leave it, and only while it is awaited.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

from splitwiser.engine.base import StepObserver, StepSpan
from splitwiser.errors import Draining, SplitwiserError, WorkerLost


class Work(Protocol):
    """One request's part in a step."""

    @property
    def request_id(self) -> str: ...
    @property
    def tokens(self) -> int: ...


T = TypeVar("T")
WorkT = TypeVar("WorkT", bound=Work)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class StepTime:
    """When a step ran: on the wall clock, and its end on the monotonic one too."""

    start_ns: int
    end_ns: int
    end_monotonic_ns: int


class StepLoop(Generic[WorkT, ResultT]):
    """Steps for as long as schedule gives work, sleeps until wake otherwise. Results keep the order of their work."""

    def __init__(
        self,
        phase: str,
        schedule: Callable[[], Sequence[WorkT]],
        run: Callable[[Sequence[WorkT]], Awaitable[Sequence[ResultT]]],
        postprocess: Callable[[Sequence[ResultT], StepTime], None],
        observer: StepObserver,
    ) -> None:
        self._phase = phase
        self._schedule = schedule
        self._run = run
        self._postprocess = postprocess
        self._observer = observer
        self._wake = asyncio.Event()
        self._stopping = False
        self._ended: SplitwiserError | None = None
        self._outcomes: WeakSet[asyncio.Future[Any]] = WeakSet()

    def wake(self) -> None:
        """Something changed that schedule should see."""
        self._wake.set()

    def outcome(self) -> "asyncio.Future[Any]":
        """A future that fails when the loop ends. Raises that error at once when the loop has ended."""
        if self._ended is not None:
            raise self._ended
        future = asyncio.get_running_loop().create_future()
        self._outcomes.add(future)
        return future

    async def run(self) -> None:
        """Loop until cancelled or broken. Either way no step is in flight when this ends."""
        try:
            await settled(asyncio.ensure_future(self._steps()), self._stop)
        except BaseException as error:
            self._end(error)
            raise

    async def _steps(self) -> None:
        while not self._stopping:
            batch = self._schedule()
            if batch:
                await self._step(batch)
            else:
                await self._wake.wait()
                self._wake.clear()

    async def _step(self, batch: Sequence[WorkT]) -> None:
        start_ns, started = time.time_ns(), time.monotonic_ns()
        results = await self._run(batch)
        ended = time.monotonic_ns()
        end_ns = start_ns + ended - started
        self._postprocess(results, StepTime(start_ns, end_ns, ended))
        span = StepSpan(start_ns, end_ns, sum([work.tokens for work in batch]))
        self._observer(self._phase, span, len(batch), [work.request_id for work in batch])

    def _stop(self) -> None:
        self._stopping = True
        self.wake()

    def _end(self, error: BaseException) -> None:
        self._ended = end_of(self._phase, error)
        for outcome in tuple(self._outcomes):
            if not outcome.done():
                outcome.set_exception(self._ended)


def end_of(phase: str, error: BaseException) -> SplitwiserError:
    """What callers are told when a loop ends by error."""
    if isinstance(error, SplitwiserError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return Draining(f"the {phase} engine has stopped", help="send the request to another worker")
    lost = WorkerLost(f"the {phase} engine failed: {type(error).__name__}", help="try again; see the worker's log")
    lost.__cause__ = error
    return lost


def resolve(outcome: "asyncio.Future[T]", result: T) -> None:
    """Set the result, unless the loop's end came first."""
    if not outcome.done():
        outcome.set_result(result)


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
