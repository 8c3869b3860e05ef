"""Owns the vllm engine's decode phase: adopted requests go on from token 0, whose KV is the first that vLLM writes."""

import asyncio
from dataclasses import dataclass
from functools import partial
from itertools import count

from splitwiser.engine.base import Decoded, DecodeEngine, DecodeJob, FinishReason, StepObserver, StepSpan
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

_ANY_TOKEN = 0


@dataclass(slots=True, eq=False)
class Generation:
    """A job on its way."""

    job: DecodeJob
    outcome: "asyncio.Future[Decoded | None]"
    tokens: int = 0
    finish_reason: FinishReason | None = None
    first_step: StepSpan | None = None
    last_step: StepSpan | None = None
    first_step_done_monotonic_ns: int = 0

    def take_step(self, step: Step) -> None:
        """Pass a step's tokens on, unless nobody waits for them any more."""
        if self.first_step is None:
            self.first_step = step.span
            self.first_step_done_monotonic_ns = step.time.end_monotonic_ns
        self.last_step = step.span
        self.finish_reason = step.finish_reason
        on_logprobs, wanted = self.job.on_logprobs, self.job.sampling.logprobs
        told = token_logprobs(step.logprobs, wanted) if step.logprobs and wanted is not None else None
        for token_id in step.token_ids:
            self.tokens += 1
            if told and on_logprobs:
                on_logprobs(next(told))
            self.job.on_token(token_id)

    def end(self) -> None:
        """No step uses the job's pages any more."""
        if not (self.finish_reason and self.first_step and self.last_step):
            resolve(self.outcome, None)
            return
        decoded = Decoded(
            self.finish_reason, self.tokens, self.first_step, self.last_step, self.first_step_done_monotonic_ns
        )
        resolve(self.outcome, decoded)


class VllmDecodeEngine(DecodeEngine):
    """To vLLM, an adopted request is a prompt and its output up to token 0, all computed but that token."""

    def __init__(
        self, layout: PoolLayout, pages: OwnedPages, core: Core, *, max_batch: int, observer: StepObserver
    ) -> None:
        self.layout = layout
        self.pages = pages
        self._loop = CoreLoop("decode", core, observer)
        self._core = core
        self._seed = partial(request_seed, phase="decode", by_position=core.draws_by_position)
        self._max_batch = max_batch
        self._numbers = count()

    @property
    def running_count(self) -> int:
        return min(self._loop.count, self._max_batch)

    @property
    def waiting_count(self) -> int:
        return self._loop.count - self.running_count

    @property
    def steps(self) -> StepWatch:
        """How long the step in flight has been running."""
        return self._loop.steps

    async def run(self) -> None:
        await self._loop.run()

    async def decode(self, job: DecodeJob) -> Decoded:
        """As the Protocol says; raises InvalidRequest if nothing is to follow, Draining or WorkerLost at the end."""
        if job.stop.reason(job.first_token, job.first_index + 1):
            raise InvalidRequest("ends with its first token", help="only decode what goes on", field="stop")
        admission = self._admission(job)
        await self._core.grammars.prepare(admission.request)
        generation = Generation(job, self._loop.outcomes.expect())
        member = Member(job.request_id, admission, generation.take_step, generation.end, job.pages)
        self._loop.add(member)
        decoded = await settled(generation.outcome, partial(self._loop.abort, member))
        if decoded is None:
            raise contradiction()
        return decoded

    def _admission(self, job: DecodeJob) -> Admission:
        # What is computed is read again as KV only, but for what the sampling counts: that has come then.
        prompt = job.prompt_ids or (_ANY_TOKEN,) * (job.prompt_tokens - job.first_index)
        earlier = job.earlier_tokens or (_ANY_TOKEN,) * job.first_index
        request = make_request(
            next(self._numbers),
            prompt,
            (*earlier, job.first_token),
            job.sampling,
            self._seed(job.sampling.seed, first_index=job.first_index),
            job.stop,
            max_tokens=job.stop.max_tokens,
            priority=job.priority,
        )
        return Admission(request, tuple(job.pages), computed_tokens=job.prompt_tokens)
