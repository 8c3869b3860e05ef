"""Which prompts run next: budget, order, pages, cancellation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitwiser.engine.base import Prefilled
from splitwiser.engine.batch import PrefillChunk
from splitwiser.engine.prefill_scheduler import PrefillScheduler, Prompt
from splitwiser.errors import InvalidRequest, PromptTooLong
from splitwiser.kv.pool import OwnedPages
from tests.unit.engine.jobs import PAGE_TOKENS, STEP, prefill_job, small_layout


class Bench:
    """A scheduler, its pages, and what became of each prompt."""

    def __init__(self, pages: int = 16, chunk_tokens: int = 8, max_batch: int = 4) -> None:
        self.pages = OwnedPages(range(pages))
        self.chunk_tokens = chunk_tokens
        self.max_batch = max_batch
        self.scheduler = PrefillScheduler(
            small_layout(pages), self.pages, chunk_tokens=chunk_tokens, max_batch=max_batch
        )
        self.outcomes: dict[str, Prefilled | None] = {}

    def add(self, request_id: str, tokens: int, priority: int = 0) -> Prompt:
        def done(prefilled: Prefilled | None) -> None:
            self.outcomes[request_id] = prefilled

        return self.scheduler.add(prefill_job(request_id, tokens, priority), done)

    def step(self) -> list[tuple[str, int, int]]:
        chunks = self.scheduler.schedule()
        self.finish(chunks)
        return [(chunk.request_id, chunk.start, chunk.end) for chunk in chunks]

    def finish(self, chunks: list[PrefillChunk]) -> None:
        self.scheduler.postprocess([65 if chunk.completes else None for chunk in chunks], STEP)


def test_a_step_packs_chunks_of_several_prompts_up_to_its_budget() -> None:
    bench = Bench(chunk_tokens=8)
    bench.add("a", 5)
    bench.add("b", 7)
    assert bench.step() == [("a", 0, 5), ("b", 0, 3)]
    assert bench.step() == [("b", 3, 7)]
    prefilled = bench.outcomes["b"]
    assert prefilled is not None
    assert (prefilled.first_token, len(prefilled.pages)) == (65, 2)
    assert [span.tokens for span in prefilled.chunks] == [3, 4]


def test_behind_a_closed_gate_no_step_begins_and_nobody_takes_pages() -> None:
    bench = Bench(chunk_tokens=8)
    bench.add("a", 20)
    assert bench.step() == [("a", 0, 8)]
    bench.scheduler.gate.close()
    bench.add("b", 4)
    assert bench.step() == []
    assert (bench.scheduler.running_count, bench.scheduler.waiting_count) == (1, 1)
    bench.scheduler.gate.open()
    assert bench.step() == [("a", 8, 16)]


def test_a_step_takes_at_most_max_batch_prompts() -> None:
    bench = Bench(max_batch=2)
    for name in "abc":
        bench.add(name, 1)
    assert [chunk[0] for chunk in bench.step()] == ["a", "b"]
    assert [chunk[0] for chunk in bench.step()] == ["c"]


def test_a_better_priority_runs_first_even_before_a_prompt_that_has_begun() -> None:
    bench = Bench(chunk_tokens=4)
    bench.add("old", 8, priority=1)
    assert bench.step() == [("old", 0, 4)]
    bench.add("urgent", 4, priority=0)
    bench.add("later", 4, priority=1)
    assert bench.step() == [("urgent", 0, 4)]
    assert bench.step() == [("old", 4, 8)]
    assert bench.step() == [("later", 0, 4)]


def test_a_prompt_that_waits_for_pages_holds_none_and_is_not_overtaken() -> None:
    bench = Bench(pages=4, chunk_tokens=8)
    first = bench.add("first", 12)
    bench.add("large", 16)
    bench.add("small", 1)
    assert bench.step() == [("first", 0, 8)]
    assert (bench.scheduler.running_count, bench.scheduler.waiting_count) == (1, 2)
    assert bench.pages.free_count == 1
    assert bench.step() == [("first", 8, 12)]
    assert bench.step() == []
    bench.pages.free(first.pages)
    assert bench.step() == [("large", 0, 8)]


def test_cancelling_a_prompt_in_flight_frees_its_pages_at_the_end_of_the_step_only() -> None:
    bench = Bench(pages=4)
    prompt = bench.add("a", 16)
    chunks = bench.scheduler.schedule()
    bench.scheduler.cancel(prompt)
    assert bench.pages.free_count == 0
    assert bench.outcomes == {}
    bench.finish(chunks)
    assert bench.pages.free_count == 4
    assert bench.outcomes == {"a": None}


def test_cancelling_in_the_last_chunk_gives_no_result() -> None:
    bench = Bench()
    prompt = bench.add("a", 2)
    chunks = bench.scheduler.schedule()
    bench.scheduler.cancel(prompt)
    bench.finish(chunks)
    assert bench.outcomes == {"a": None}
    assert bench.pages.in_use_count == 0


def test_cancelling_a_prompt_that_is_done_changes_nothing() -> None:
    bench = Bench()
    prompt = bench.add("a", 2)
    bench.step()
    bench.scheduler.cancel(prompt)
    assert bench.outcomes["a"] is not None
    assert bench.pages.in_use_count == 1


def test_a_prompt_that_can_never_fit_or_is_empty_is_refused_at_once() -> None:
    bench = Bench(pages=2)
    bench.add("fits", 2 * PAGE_TOKENS)
    with pytest.raises(PromptTooLong):
        bench.add("long", 2 * PAGE_TOKENS + 1)
    with pytest.raises(InvalidRequest):
        bench.add("empty", 0)
    assert bench.scheduler.waiting_count == 1


VERBS = ["add", "cancel", "schedule", "postprocess", "consume"]
Event = tuple[str, int, int]
EVENTS = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(1, 40), st.integers(0, 2)), max_size=120)


class Run:
    """Random events against a scheduler, with the invariants checked after each."""

    def __init__(self) -> None:
        self.bench = Bench(pages=10, chunk_tokens=7, max_batch=3)
        self.prompts: list[Prompt] = []
        self.flying: list[PrefillChunk] = []
        self.flying_pages: set[int] = set()
        self.progress: dict[str, int] = {}

    def apply(self, event: Event) -> None:
        verb, number, priority = event
        if verb == "add":
            self.prompts.append(self.bench.add(str(len(self.prompts)), number, priority))
        elif verb == "cancel" and self.prompts:
            self.bench.scheduler.cancel(self.prompts[number % len(self.prompts)])
        elif verb == "consume":
            self.consume()
        elif self.flying:
            self.postprocess()
        elif verb == "schedule":
            self.schedule()

    def schedule(self) -> None:
        self.flying = self.bench.scheduler.schedule()
        assert sum(chunk.tokens for chunk in self.flying) <= self.bench.chunk_tokens
        assert len(self.flying) <= self.bench.max_batch
        for chunk in self.flying:
            assert chunk.start == self.progress.get(chunk.request_id, 0) < chunk.end
            assert len(chunk.pages) == -(-len(chunk.token_ids) // PAGE_TOKENS)
            self.progress[chunk.request_id] = chunk.end
        self.flying_pages = {page for chunk in self.flying for page in chunk.pages}

    def postprocess(self) -> None:
        flying, self.flying = self.flying, []
        self.bench.finish(flying)

    def consume(self) -> None:
        for request_id, prefilled in list(self.bench.outcomes.items()):
            if prefilled is not None:
                self.bench.pages.free(prefilled.pages)
                self.bench.outcomes[request_id] = None

    def check(self) -> None:
        pages = self.bench.pages
        held = [page for prompt in self.prompts if self._holds(prompt) for page in prompt.pages]
        assert len(held) == len(set(held)) == pages.in_use_count
        assert pages.free_count + pages.in_use_count == 10
        if self.flying:
            assert self.flying_pages <= set(held)

    def _holds(self, prompt: Prompt) -> bool:
        return self.bench.outcomes.get(prompt.job.request_id, prompt) is not None

    def drain(self) -> None:
        if self.flying:
            self.postprocess()
        while len(self.bench.outcomes) < len(self.prompts):
            self.consume()
            self.schedule()
            assert self.flying, "prompts wait, all pages are free, and nothing runs"
            self.postprocess()
        self.consume()


@given(EVENTS)
def test_pages_and_budget_hold_under_random_events_and_every_prompt_ends(events: list[Event]) -> None:
    run = Run()
    for event in events:
        run.apply(event)
        run.check()
    run.drain()
    assert run.bench.pages.free_count == 10
