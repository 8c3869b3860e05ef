"""Owns which sequences take part in the next decode step: continuous batching over adopted requests.

Plain Python: knows no tensor and no event loop. It frees no page: those of a job are its caller's from start to end.
"""

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from splitwiser.engine.base import Decoded, DecodeJob, FinishReason, StepSpan
from splitwiser.engine.batch import DecodeSlot, Token, split
from splitwiser.engine.loop import StepTime
from splitwiser.errors import InvalidRequest
from splitwiser.kv.layout import PoolLayout


@dataclass(slots=True, eq=False)
class Generation:
    """A job on its way. tokens counts all of its request's; token is the latest one, whose KV is not written yet."""

    job: DecodeJob
    rank: tuple[int, int]
    on_done: Callable[[Decoded | None], None]
    token: int
    tokens: int
    first_step: StepSpan | None = None
    first_step_done_monotonic_ns: int = 0
    cancelled: bool = False


class DecodeScheduler:
    """A generation that runs stays in the batch until it ends; those over max_batch wait by priority, then arrival."""

    def __init__(self, layout: PoolLayout, *, max_batch: int) -> None:
        self._layout = layout
        self._max_batch = max_batch
        self._arrivals = 0
        self._waiting: list[Generation] = []
        self._running: list[Generation] = []
        self._in_flight = False

    @property
    def running_count(self) -> int:
        return len(self._running)

    @property
    def waiting_count(self) -> int:
        return len(self._waiting)

    def add(self, job: DecodeJob, on_done: Callable[[Decoded | None], None]) -> Generation:
        """Queue a request; on_done takes its end, or None once it is cancelled and no step uses its pages.

        Raises InvalidRequest if prefill's token was the last one already.
        """
        if job.stop.reason(job.first_token, job.first_index + 1):
            raise InvalidRequest("ends with its first token", help="only decode what goes on", field="stop")
        generation = Generation(job, (job.priority, self._arrivals), on_done, job.first_token, job.first_index + 1)
        self._arrivals += 1
        insort(self._waiting, generation, key=attrgetter("rank"))
        return generation

    def cancel(self, generation: Generation) -> None:
        """Drop the generation now, or at the end of the step it is in. Without effect on one that is done."""
        generation.cancelled = True
        for group in (self._waiting,) if self._in_flight else (self._waiting, self._running):
            if generation in group:
                group.remove(generation)
                generation.on_done(None)

    def schedule(self) -> list[DecodeSlot]:
        """The next step's slots: everything that runs, topped up to max_batch from those that wait."""
        assert not self._in_flight
        joining = self._max_batch - len(self._running)
        self._running += self._waiting[:joining]
        del self._waiting[:joining]
        self._in_flight = bool(self._running)
        return [self._slot(generation) for generation in self._running]

    def postprocess(self, tokens: Sequence[Token], time: StepTime) -> None:
        """Take the step's tokens, one for each slot, and give each to its request's on_token."""
        self._in_flight = False
        batch, self._running = self._running, []
        span = StepSpan(time.start_ns, time.end_ns, 1)
        for generation, token in zip(batch, tokens, strict=True):
            if generation.first_step is None:
                generation.first_step = span
                generation.first_step_done_monotonic_ns = time.end_monotonic_ns
            if generation.cancelled:
                generation.on_done(None)
            else:
                self._advance(generation, token, span)

    def _slot(self, generation: Generation) -> DecodeSlot:
        job, tokens = generation.job, generation.tokens
        position = job.prompt_tokens + tokens - job.first_index - 1
        assert position < len(job.pages) * self._layout.page_tokens, (job.request_id, position, len(job.pages))
        return DecodeSlot(job.request_id, generation.token, position, tokens, job.pages, job.sampling)

    def _advance(self, generation: Generation, drawn: Token, span: StepSpan) -> None:
        token, logprobs = split(drawn)
        generation.token = token
        generation.tokens += 1
        if logprobs and generation.job.on_logprobs:
            generation.job.on_logprobs(logprobs)
        generation.job.on_token(token)
        reason = generation.job.stop.reason(token, generation.tokens)
        if reason is None:
            self._running.append(generation)
        else:
            generation.on_done(_decoded(generation, reason, span))


def _decoded(generation: Generation, reason: FinishReason, last_step: StepSpan) -> Decoded:
    assert generation.first_step is not None
    first_done_ns = generation.first_step_done_monotonic_ns
    tokens = generation.tokens - generation.job.first_index - 1
    return Decoded(reason, tokens, generation.first_step, last_step, first_done_ns)
