"""Owns the two engines over the paged pool: for each phase a scheduler, a runner and the step loop between them."""

import asyncio
from functools import partial

from splitwiser.engine.base import Decoded, DecodeEngine, DecodeJob, Prefilled, PrefillEngine, PrefillJob, StepObserver
from splitwiser.engine.batch import DecodeRunner, DecodeSlot, PrefillChunk, PrefillRunner, Token
from splitwiser.engine.decode_scheduler import DecodeScheduler
from splitwiser.engine.loop import UNDISTURBED, StepLoop, Turn
from splitwiser.engine.outcomes import resolve
from splitwiser.engine.prefill_scheduler import PrefillScheduler, Prompt
from splitwiser.engine.step_watch import StepWatch
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.pool import OwnedPages
from splitwiser.settled import settled


class PagedPrefillEngine(PrefillEngine):
    """Prompts in chunks, several a step, into pages of its own."""

    def __init__(
        self,
        layout: PoolLayout,
        pages: OwnedPages,
        runner: PrefillRunner,
        *,
        chunk_tokens: int,
        max_batch: int,
        observer: StepObserver,
        turn: Turn = UNDISTURBED,
    ) -> None:
        self.layout = layout
        self.pages = pages
        self._scheduler = PrefillScheduler(layout, pages, chunk_tokens=chunk_tokens, max_batch=max_batch)
        self._loop = StepLoop[PrefillChunk, Token | None](
            "prefill", self._scheduler.schedule, runner.run, self._scheduler.postprocess, observer, turn
        )
        pages.on_freed(self._loop.wake)
        self.gate = self._scheduler.gate
        self.gate.on_open(self._loop.wake)

    @property
    def running_count(self) -> int:
        """Prompts that have pages."""
        return self._scheduler.running_count

    @property
    def waiting_count(self) -> int:
        """Prompts that wait for pages or a place."""
        return self._scheduler.waiting_count

    @property
    def steps(self) -> StepWatch:
        """How long the step in flight has been running."""
        return self._loop.steps

    async def run(self) -> None:
        await self._loop.run()

    async def prefill(self, job: PrefillJob) -> Prefilled:
        """As the Protocol says; a cancelled call returns when its pages are free.

        Raises InvalidRequest or PromptTooLong at once, Draining or WorkerLost when the engine ends under the job.
        """
        outcome = self._loop.outcomes.expect()
        prompt = self._scheduler.add(job, partial(resolve, outcome))
        self._loop.wake()
        try:
            prefilled: Prefilled = await settled(outcome, partial(self._cancel, prompt))
        except BaseException:
            self._abandon(prompt, outcome)
            raise
        return prefilled

    def _cancel(self, prompt: Prompt) -> None:
        self._scheduler.cancel(prompt)
        self._loop.wake()

    def _abandon(self, prompt: Prompt, outcome: "asyncio.Future[Prefilled | None]") -> None:
        # The cancellation may come when the result is there already: then nobody else knows of its pages.
        if outcome.done() and not outcome.exception() and (prefilled := outcome.result()):
            self.pages.free(prefilled.pages)
        else:
            self._cancel(prompt)


class PagedDecodeEngine(DecodeEngine):
    """One token a step for every adopted request in the batch."""

    def __init__(
        self,
        layout: PoolLayout,
        pages: OwnedPages,
        runner: DecodeRunner,
        *,
        max_batch: int,
        observer: StepObserver,
        turn: Turn = UNDISTURBED,
    ) -> None:
        self.layout = layout
        self.pages = pages
        self._scheduler = DecodeScheduler(layout, max_batch=max_batch)
        self._loop = StepLoop[DecodeSlot, Token](
            "decode", self._scheduler.schedule, runner.run, self._scheduler.postprocess, observer, turn
        )

    @property
    def running_count(self) -> int:
        """Requests in the batch."""
        return self._scheduler.running_count

    @property
    def waiting_count(self) -> int:
        """Requests with pages that wait for a place in the batch."""
        return self._scheduler.waiting_count

    @property
    def steps(self) -> StepWatch:
        """How long the step in flight has been running."""
        return self._loop.steps

    async def run(self) -> None:
        await self._loop.run()

    async def decode(self, job: DecodeJob) -> Decoded:
        """As the Protocol says; raises Draining or WorkerLost when the engine ends under the job."""
        outcome = self._loop.outcomes.expect()
        generation = self._scheduler.add(job, partial(resolve, outcome))
        self._loop.wake()
        decoded: Decoded = await settled(outcome, partial(self._scheduler.cancel, generation))
        return decoded
