"""Owns the vllm engine's prefill phase: prompts in line for their pages, then in vLLM until their first token."""

import asyncio
from bisect import insort
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

from vllm.v1.request import Request

from splitwiser.engine.base import Prefilled, PrefillEngine, PrefillJob, StepObserver, StepSpan, TokenLogprobs
from splitwiser.engine.outcomes import resolve
from splitwiser.engine.step_watch import StepWatch
from splitwiser.engine.vllm.core import Admission, Core
from splitwiser.engine.vllm.grammar import contradiction
from splitwiser.engine.vllm.logprobs import token_logprobs
from splitwiser.engine.vllm.loop import CoreLoop, Member, Step
from splitwiser.engine.vllm.requests import make_request
from splitwiser.engine.vllm.sampling import request_seed
from splitwiser.errors import InvalidRequest
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.pool import OwnedPages
from splitwiser.settled import settled


@dataclass(slots=True, eq=False)
class Prompt:
    """A job on its way: without a member it waits for pages."""

    job: PrefillJob
    request: Request
    rank: tuple[int, int]
    outcome: "asyncio.Future[Prefilled | None]"
    member: Member | None = None
    first_token: int | None = None
    logprobs: TokenLogprobs | None = None
    chunks: list[StepSpan] = field(default_factory=list)


class VllmPrefillEngine(PrefillEngine):
    """All pages of a prompt are allocated before vLLM sees it; vLLM cuts it into chunks and packs those into steps."""

    def __init__(self, layout: PoolLayout, pages: OwnedPages, core: Core, observer: StepObserver) -> None:
        self.layout = layout
        self.pages = pages
        self._core = core
        self._loop = CoreLoop("prefill", core, observer)
        self.gate = self._loop.gate
        self._seed = partial(request_seed, phase="prefill", by_position=core.draws_by_position)
        self._waiting: list[Prompt] = []
        self._arrivals = 0
        pages.on_freed(self._admit)

    @property
    def running_count(self) -> int:
        return self._loop.count

    @property
    def waiting_count(self) -> int:
        return len(self._waiting)

    @property
    def steps(self) -> StepWatch:
        """How long the step in flight has been running."""
        return self._loop.steps

    async def run(self) -> None:
        await self._loop.run()

    async def prefill(self, job: PrefillJob) -> Prefilled:
        """As the Protocol says; raises InvalidRequest, PromptTooLong, and Draining or WorkerLost at the end."""
        if not job.token_ids:
            raise InvalidRequest("the prompt is empty", help="send at least one token", field="token_ids")
        self.pages.require(self.layout.pages_for(len(job.token_ids)))
        self._arrivals += 1
        rank, request = (job.priority, self._arrivals), self._request(job, self._arrivals)
        await self._core.grammars.prepare(request)
        prompt = Prompt(job, request, rank, self._loop.outcomes.expect())
        insort(self._waiting, prompt, key=attrgetter("rank"))
        self._admit()
        try:
            prefilled = await settled(prompt.outcome, partial(self._cancel, prompt))
        except BaseException:
            self._abandon(prompt)
            raise
        if prefilled is None:
            raise contradiction()
        return prefilled

    def _admit(self) -> None:
        # Strictly in order: a short prompt that overtook would keep a long one waiting for ever. All that still wait
        # have an outcome once the engine has ended.
        while self._waiting and not self._waiting[0].outcome.done():
            job = self._waiting[0].job
            count = self.layout.pages_for(len(job.token_ids)) - len(job.shared)
            if not self.pages.can_allocate(count):
                return
            self._enter(self._waiting.pop(0), self.pages.allocate(count))

    def _enter(self, prompt: Prompt, pages: tuple[int, ...]) -> None:
        shared = prompt.job.shared
        prompt.member = Member(
            prompt.job.request_id,
            Admission(prompt.request, (*shared, *pages), len(shared) * self.layout.page_tokens),
            partial(_take_step, prompt),
            partial(self._end, prompt, pages),
        )
        self._loop.add(prompt.member)
        prompt.job.on_started()

    def _request(self, job: PrefillJob, arrival: int) -> Request:
        prompt_tokens = len(job.token_ids) - job.first_index
        return make_request(
            arrival,
            job.token_ids[:prompt_tokens],
            job.token_ids[prompt_tokens:],
            job.sampling,
            self._seed(job.sampling.seed, first_index=job.first_index),
            job.stop,
            max_tokens=job.first_index + 1,
            priority=job.priority,
        )

    def _end(self, prompt: Prompt, pages: tuple[int, ...]) -> None:
        if prompt.first_token is None or prompt.outcome.done():
            self.pages.free(pages)
            resolve(prompt.outcome, None)
        else:
            resolve(prompt.outcome, Prefilled(prompt.first_token, pages, tuple(prompt.chunks), prompt.logprobs))

    def _cancel(self, prompt: Prompt) -> None:
        if prompt in self._waiting:
            self._waiting.remove(prompt)
            resolve(prompt.outcome, None)
            # For those behind it there may be pages enough.
            self._admit()
        elif prompt.member:
            self._loop.abort(prompt.member)

    def _abandon(self, prompt: Prompt) -> None:
        # The cancellation may come when the result is there already: then nobody else knows of its pages.
        outcome = prompt.outcome
        if outcome.done() and not outcome.exception() and (prefilled := outcome.result()):
            self.pages.free(prefilled.pages)
        else:
            self._cancel(prompt)


def _take_step(prompt: Prompt, step: Step) -> None:
    prompt.chunks.append(step.span)
    if step.token_ids:
        (prompt.first_token,) = step.token_ids
    wanted = prompt.job.sampling.logprobs
    if step.logprobs and wanted is not None:
        (prompt.logprobs,) = token_logprobs(step.logprobs, wanted)
