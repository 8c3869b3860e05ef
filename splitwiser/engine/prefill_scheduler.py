"""Owns which prompts run next: their order, their pages and how a step's token budget is cut into chunks.

Plain Python: knows no tensor and no event loop. A prompt gets all its pages before its first chunk, so that two half
allocated prompts can never wait for each other.
"""

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from splitwiser.engine.base import Prefilled, PrefillJob, StepSpan
from splitwiser.engine.batch import PrefillChunk, Token, split
from splitwiser.engine.loop import StepTime
from splitwiser.engine.step_gate import StepGate
from splitwiser.errors import InvalidRequest
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.pool import OwnedPages


@dataclass(slots=True, eq=False)
class Prompt:
    """A job on its way: without pages it waits."""

    job: PrefillJob
    rank: tuple[int, int]
    on_done: Callable[[Prefilled | None], None]
    pages: tuple[int, ...] = ()
    tokens_done: int = 0
    chunks: list[StepSpan] = field(default_factory=list)
    cancelled: bool = False


class PrefillScheduler:
    """Best rank first: priority, then arrival. Prompts that run and prompts that wait stand in one order."""

    def __init__(self, layout: PoolLayout, pages: OwnedPages, *, chunk_tokens: int, max_batch: int) -> None:
        self._layout = layout
        self._pages = pages
        self.gate = StepGate()
        self._chunk_tokens = chunk_tokens
        self._max_batch = max_batch
        self._arrivals = 0
        self._prompts: list[Prompt] = []
        self._in_flight: list[tuple[Prompt, PrefillChunk]] = []

    @property
    def running_count(self) -> int:
        """Prompts that have pages."""
        return sum(1 for prompt in self._prompts if prompt.pages)

    @property
    def waiting_count(self) -> int:
        return len(self._prompts) - self.running_count

    def add(self, job: PrefillJob, on_done: Callable[[Prefilled | None], None]) -> Prompt:
        """Queue a prompt; on_done takes its result, or None once it is cancelled and its pages are free.

        Raises InvalidRequest for an empty prompt and PromptTooLong for one that could never get its pages.
        """
        if not job.token_ids:
            raise InvalidRequest("the prompt is empty", help="send at least one token", field="token_ids")
        self._pages.require(self._layout.pages_for(len(job.token_ids)))
        done = len(job.shared) * self._layout.page_tokens
        assert done < len(job.token_ids), (job.request_id, done)
        prompt = Prompt(job, (job.priority, self._arrivals), on_done, tokens_done=done)
        self._arrivals += 1
        insort(self._prompts, prompt, key=attrgetter("rank"))
        return prompt

    def cancel(self, prompt: Prompt) -> None:
        """Drop the prompt now, or at the end of the step it is in. Without effect on one that is done."""
        prompt.cancelled = True
        in_flight = any(prompt is other for other, _ in self._in_flight)
        if prompt in self._prompts and not in_flight:
            self._drop(prompt)

    def schedule(self) -> list[PrefillChunk]:
        """The next step's chunks: at most max_batch, with at most chunk_tokens together; none behind a closed gate."""
        assert not self._in_flight
        budget = self._chunk_tokens if self.gate.is_open else 0
        blocked = False
        for prompt in self._prompts:
            if not budget or len(self._in_flight) == self._max_batch:
                break
            # Strictly in order: a short prompt that overtook would keep a long one waiting for ever.
            blocked = blocked or not self._obtain_pages(prompt)
            if prompt.pages:
                chunk = self._chunk(prompt, budget)
                self._in_flight.append((prompt, chunk))
                budget -= chunk.tokens
        return [chunk for _, chunk in self._in_flight]

    def postprocess(self, results: Sequence[Token | None], time: StepTime) -> None:
        """Take the step's first tokens, one entry a chunk: None where the prompt goes on."""
        in_flight, self._in_flight = self._in_flight, []
        for (prompt, chunk), first_token in zip(in_flight, results, strict=True):
            prompt.tokens_done = chunk.end
            prompt.chunks.append(StepSpan(time.start_ns, time.end_ns, chunk.tokens))
            if prompt.cancelled:
                self._drop(prompt)
            elif chunk.completes:
                assert first_token is not None, prompt.job.request_id
                self._prompts.remove(prompt)
                token_id, logprobs = split(first_token)
                prompt.on_done(Prefilled(token_id, prompt.pages, tuple(prompt.chunks), logprobs))

    def _obtain_pages(self, prompt: Prompt) -> bool:
        count = self._layout.pages_for(len(prompt.job.token_ids)) - len(prompt.job.shared)
        if not prompt.pages and self._pages.can_allocate(count):
            prompt.pages = self._pages.allocate(count)
            prompt.job.on_started()
        return bool(prompt.pages)

    def _chunk(self, prompt: Prompt, budget: int) -> PrefillChunk:
        job, start = prompt.job, prompt.tokens_done
        end = min(start + budget, len(job.token_ids))
        pages = (*job.shared, *prompt.pages)
        return PrefillChunk(job.request_id, job.token_ids, start, end, pages, job.sampling, job.first_index)

    def _drop(self, prompt: Prompt) -> None:
        self._prompts.remove(prompt)
        self._pages.free(prompt.pages)
        prompt.on_done(None)
