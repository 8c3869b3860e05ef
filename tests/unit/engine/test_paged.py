"""The engines' promises to their callers: results, cancellation, and what happens when the engine ends."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from splitwiser.engine.base import StepSpan
from splitwiser.engine.batch import DecodeSlot, PrefillChunk
from splitwiser.engine.paged import PagedDecodeEngine, PagedPrefillEngine
from splitwiser.errors import Draining, PromptTooLong, WorkerLost
from splitwiser.kv.pool import OwnedPages
from tests.unit.engine.jobs import decode_job, prefill_job, small_layout

Observed = tuple[str, int, int, tuple[str, ...]]


class GatedRunner:
    """A model whose step ends when the test says so, or fails."""

    def __init__(self) -> None:
        self.started = asyncio.Semaphore(0)
        self.gate = asyncio.Semaphore(0)
        self.error: Exception | None = None

    async def step(self) -> None:
        self.started.release()
        await self.gate.acquire()
        if self.error is not None:
            raise self.error


class GatedPrefill(GatedRunner):
    async def run(self, chunks: Sequence[PrefillChunk]) -> Sequence[int | None]:
        await self.step()
        return [65 if chunk.completes else None for chunk in chunks]


class GatedDecode(GatedRunner):
    async def run(self, slots: Sequence[DecodeSlot]) -> Sequence[int]:
        await self.step()
        return [66] * len(slots)


class Engine(Protocol):
    async def run(self) -> None: ...


@asynccontextmanager
async def running(engine: Engine, runner: GatedRunner) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.ensure_future(engine.run())
    yield task
    for _ in range(100):
        runner.gate.release()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Rig:
    """Both engines over gated runners, and what the observer saw."""

    def __init__(self, pages: int = 4) -> None:
        layout = small_layout(pages)
        self.observed: list[Observed] = []
        self.stepped = asyncio.Event()
        self.pages = OwnedPages(range(pages))
        self.prefill_runner, self.decode_runner = GatedPrefill(), GatedDecode()
        self.prefill = PagedPrefillEngine(
            layout, self.pages, self.prefill_runner, chunk_tokens=4, max_batch=4, observer=self.observe
        )
        self.decode = PagedDecodeEngine(layout, OwnedPages(), self.decode_runner, max_batch=4, observer=self.observe)

    def observe(self, phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None:
        assert span.end_ns >= span.start_ns
        self.observed.append((phase, span.tokens, batch_size, tuple(requests)))
        self.stepped.set()


async def test_the_observer_is_told_of_every_step_once() -> None:
    rig = Rig()
    async with running(rig.prefill, rig.prefill_runner), running(rig.decode, rig.decode_runner):
        for _ in range(4):
            rig.prefill_runner.gate.release()
            rig.decode_runner.gate.release()
        await asyncio.gather(rig.prefill.prefill(prefill_job("a", 5)), rig.prefill.prefill(prefill_job("b", 3)))
        await rig.decode.decode(decode_job("a", max_tokens=3))
    assert rig.observed[:2] == [("prefill", 4, 1, ("a",)), ("prefill", 4, 2, ("a", "b"))]
    assert rig.observed[2:] == [("decode", 1, 1, ("a",))] * 2


async def test_a_cancelled_prefill_stops_at_the_next_chunk_border_and_returns_with_its_pages_free() -> None:
    rig = Rig()
    async with running(rig.prefill, rig.prefill_runner):
        call = asyncio.ensure_future(rig.prefill.prefill(prefill_job("a", 16)))
        await rig.prefill_runner.started.acquire()
        call.cancel()
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.sleep(0.01)
        assert not call.done()
        assert rig.pages.in_use_count == 4
        rig.prefill_runner.gate.release()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert rig.pages.free_count == 4
    assert len(rig.observed) == 1


async def test_a_prefill_cancelled_when_its_result_is_there_already_leaks_no_page() -> None:
    rig = Rig()
    async with running(rig.prefill, rig.prefill_runner):
        call = asyncio.ensure_future(rig.prefill.prefill(prefill_job("a", 4)))
        await rig.prefill_runner.started.acquire()
        rig.prefill_runner.gate.release()
        await rig.stepped.wait()
        assert not call.done()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert rig.pages.free_count == 4


async def test_a_cancelled_decode_returns_only_when_the_step_that_writes_its_pages_is_over() -> None:
    rig = Rig()
    tokens: list[int] = []
    async with running(rig.decode, rig.decode_runner):
        call = asyncio.ensure_future(rig.decode.decode(decode_job("a", max_tokens=9, on_token=tokens.append)))
        await rig.decode_runner.started.acquire()
        call.cancel()
        await asyncio.sleep(0.01)
        assert not call.done()
        rig.decode_runner.gate.release()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert tokens == []
    assert len(rig.observed) == 1


async def test_pages_freed_elsewhere_let_a_waiting_prompt_in() -> None:
    rig = Rig()
    async with running(rig.prefill, rig.prefill_runner):
        held = rig.pages.allocate(4)
        call = asyncio.ensure_future(rig.prefill.prefill(prefill_job("a", 4)))
        await asyncio.sleep(0.01)
        assert rig.prefill.waiting_count == 1
        rig.pages.free(held)
        await rig.prefill_runner.started.acquire()
        assert rig.prefill.running_count == 1
        rig.prefill_runner.gate.release()
        assert (await call).first_token == 65


async def test_cancelling_a_prompt_that_waits_lets_the_next_one_in() -> None:
    rig = Rig()
    async with running(rig.prefill, rig.prefill_runner):
        rig.pages.allocate(2)
        large = asyncio.ensure_future(rig.prefill.prefill(prefill_job("large", 16)))
        small = asyncio.ensure_future(rig.prefill.prefill(prefill_job("small", 4)))
        await asyncio.sleep(0.01)
        large.cancel()
        rig.prefill_runner.gate.release()
        assert (await small).first_token == 65


async def test_a_prompt_over_the_workers_share_is_refused_at_once() -> None:
    rig = Rig()
    with pytest.raises(PromptTooLong):
        await rig.prefill.prefill(prefill_job("a", 17))


async def test_a_runner_that_fails_fails_every_request_and_ends_the_engine() -> None:
    rig = Rig()
    rig.decode_runner.error = ValueError("numbers out of range")
    async with running(rig.decode, rig.decode_runner) as task:
        calls = [asyncio.ensure_future(rig.decode.decode(decode_job(name))) for name in "abcdef"]
        await rig.decode_runner.started.acquire()
        calls[0].cancel()
        rig.decode_runner.gate.release()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert all(isinstance(result, WorkerLost) for result in results[1:])
        with pytest.raises(ValueError, match="numbers out of range"):
            await task
        with pytest.raises(WorkerLost):
            await rig.decode.decode(decode_job("later"))


async def test_stopping_the_engine_waits_for_its_step_and_turns_the_others_away() -> None:
    rig = Rig(pages=4)
    async with running(rig.prefill, rig.prefill_runner) as task:
        calls = [asyncio.ensure_future(rig.prefill.prefill(prefill_job(name, 4))) for name in "ab"]
        await rig.prefill_runner.started.acquire()
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        rig.prefill_runner.gate.release()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await calls[0]).first_token == 65
        with pytest.raises(Draining):
            await calls[1]
        assert rig.pages.in_use_count == 1
