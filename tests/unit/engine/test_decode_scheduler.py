"""Continuous batching: who is in a step, what goes in, and how a request ends."""

import pytest

from splitwiser.engine.base import Decoded, DecodeJob, FinishReason
from splitwiser.engine.decode_scheduler import DecodeScheduler, Generation
from splitwiser.errors import InvalidRequest
from tests.unit.engine.jobs import STEP, decode_job, small_layout


class Bench:
    def __init__(self, max_batch: int = 2) -> None:
        self.scheduler = DecodeScheduler(small_layout(8), max_batch=max_batch)
        self.outcomes: dict[str, Decoded | None] = {}

    def add(self, job: DecodeJob) -> Generation:
        def done(decoded: Decoded | None) -> None:
            self.outcomes[job.request_id] = decoded

        return self.scheduler.add(job, done)

    def step(self, token: int = 42) -> list[str]:
        slots = self.scheduler.schedule()
        self.scheduler.postprocess([token] * len(slots), STEP)
        return [slot.request_id for slot in slots]


def test_each_step_feeds_the_last_token_at_the_next_position() -> None:
    bench = Bench()
    bench.add(decode_job("a", prompt_tokens=5, max_tokens=4))
    seen = []
    for token in (40, 41, 42):
        slot = bench.scheduler.schedule()[0]
        seen.append((slot.token, slot.position, slot.index))
        bench.scheduler.postprocess([token], STEP)
    assert seen == [(7, 5, 1), (40, 6, 2), (41, 7, 3)]
    assert bench.scheduler.schedule() == []


def test_max_tokens_counts_token_0_and_every_token_is_given_out() -> None:
    bench = Bench()
    tokens: list[int] = []
    bench.add(decode_job("a", max_tokens=3, on_token=tokens.append))
    bench.step(50)
    bench.step(51)
    decoded = bench.outcomes["a"]
    assert decoded is not None
    assert (decoded.finish_reason, decoded.tokens, tokens) == (FinishReason.LENGTH, 2, [50, 51])
    assert (decoded.first_step.tokens, decoded.first_step_done_monotonic_ns) == (1, 3)


def test_a_stop_token_ends_the_request_and_is_given_out() -> None:
    bench = Bench()
    tokens: list[int] = []
    bench.add(decode_job("a", max_tokens=9, stop_token_ids=frozenset({99}), on_token=tokens.append))
    bench.step(99)
    decoded = bench.outcomes["a"]
    assert decoded is not None
    assert (decoded.finish_reason, tokens) == (FinishReason.STOP, [99])


def test_requests_join_and_leave_between_steps_by_priority_and_arrival() -> None:
    bench = Bench(max_batch=2)
    bench.add(decode_job("a", max_tokens=2))
    bench.add(decode_job("b", max_tokens=3))
    bench.add(decode_job("c", max_tokens=2, priority=1))
    bench.add(decode_job("d", max_tokens=2))
    assert (bench.scheduler.running_count, bench.scheduler.waiting_count) == (0, 4)
    assert bench.step() == ["a", "b"]
    assert bench.step() == ["b", "d"]
    assert bench.step() == ["c"]
    assert bench.step() == []


def test_a_cancelled_request_in_flight_ends_after_its_step_and_gives_no_token() -> None:
    bench = Bench()
    tokens: list[int] = []
    generation = bench.add(decode_job("a", on_token=tokens.append))
    bench.scheduler.schedule()
    bench.scheduler.cancel(generation)
    assert bench.outcomes == {}
    bench.scheduler.postprocess([50], STEP)
    assert bench.outcomes == {"a": None}
    assert tokens == []
    assert bench.scheduler.schedule() == []


def test_a_cancelled_request_that_no_step_uses_ends_at_once() -> None:
    bench = Bench(max_batch=1)
    running = bench.add(decode_job("running"))
    waiting = bench.add(decode_job("waiting"))
    bench.step()
    bench.scheduler.cancel(waiting)
    bench.scheduler.cancel(running)
    assert bench.outcomes == {"waiting": None, "running": None}
    assert bench.scheduler.schedule() == []


def test_a_request_may_be_cancelled_by_another_ones_token() -> None:
    bench = Bench()
    bench.add(decode_job("a", on_token=lambda token: bench.scheduler.cancel(b)))
    b = bench.add(decode_job("b"))
    bench.step()
    assert bench.outcomes == {"b": None}
    assert bench.step() == ["a"]


def test_a_request_that_ended_with_its_first_token_is_refused() -> None:
    for job in (decode_job("a", max_tokens=1), decode_job("a", stop_token_ids=frozenset({7}))):
        with pytest.raises(InvalidRequest):
            Bench().add(job)
