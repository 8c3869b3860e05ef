"""Owns an engine's only loop: schedule -> run -> postprocess.

Schedulers live on the event loop's thread; only the runner may leave it, and only while it is awaited.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from splitwiser.engine.base import StepObserver, StepSpan
from splitwiser.engine.outcomes import Outcomes
from splitwiser.engine.step_watch import StepWatch
from splitwiser.settled import settled


class Work(Protocol):
    """One request's part in a step."""

    @property
    def request_id(self) -> str: ...
    @property
    def tokens(self) -> int: ...


WorkT = TypeVar("WorkT", bound=Work)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class StepTime:
    """When a step ran: on the wall clock, and its end on the monotonic one too."""

    start_ns: int
    end_ns: int
    end_monotonic_ns: int


Turn = AbstractAsyncContextManager[Any]
"""Held from the choice of a step's work to the step's end."""
UNDISTURBED: Turn = nullcontext()
"""The turn of an engine that shares its device with nobody in its process."""


class StepLoop(Generic[WorkT, ResultT]):
    """Steps for as long as schedule gives work, sleeps until wake otherwise. Results keep the order of their work."""

    def __init__(
        self,
        phase: str,
        schedule: Callable[[], Sequence[WorkT]],
        run: Callable[[Sequence[WorkT]], Awaitable[Sequence[ResultT]]],
        postprocess: Callable[[Sequence[ResultT], StepTime], None],
        observer: StepObserver,
        turn: Turn = UNDISTURBED,
    ) -> None:
        self._phase = phase
        self._schedule = schedule
        self._run = run
        self._postprocess = postprocess
        self._observer = observer
        self._turn = turn
        self._wake = asyncio.Event()
        self._stopping = False
        self.outcomes = Outcomes(phase)
        self.steps = StepWatch()

    def wake(self) -> None:
        """Something changed that schedule should see."""
        self._wake.set()

    async def run(self) -> None:
        """Loop until cancelled or broken. Either way no step is in flight when this ends."""
        try:
            await settled(asyncio.ensure_future(self._steps()), self._stop)
        except BaseException as error:
            self.outcomes.end(error)
            raise

    async def _steps(self) -> None:
        while not self._stopping:
            async with self._turn:
                if batch := self._schedule():
                    await self._step(batch)
            if not batch:
                await self._wake.wait()
                self._wake.clear()

    async def _step(self, batch: Sequence[WorkT]) -> None:
        start_ns, started = time.time_ns(), time.monotonic_ns()
        with self.steps.step():
            results = await self._run(batch)
        ended = time.monotonic_ns()
        end_ns = start_ns + ended - started
        self._postprocess(results, StepTime(start_ns, end_ns, ended))
        span = StepSpan(start_ns, end_ns, sum([work.tokens for work in batch]))
        self._observer(self._phase, span, len(batch), [work.request_id for work in batch])

    def _stop(self) -> None:
        self._stopping = True
        self.wake()
