"""Owns one request's stream to its client: tokens from the pipeline become messages, and the end is told once."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from splitwiser.engine.base import FinishReason
from splitwiser.routing.answer import Answer
from splitwiser.routing.journey import Journey
from splitwiser.routing.pipeline import Pipeline
from splitwiser.routing.request import Outcome
from splitwiser.routing.tasks import cancel_and_wait
from splitwiser.telemetry import names
from splitwiser.telemetry.metrics.router import RouterMetrics
from splitwiser.telemetry.tracing import Tracing
from splitwiser.v1 import inference_pb2

Write = Callable[[inference_pb2.GenerateResponse], Awaitable[None]]


class Generation:
    """Runs the pipeline and writes what it yields. Times count from arrived_s, on time.perf_counter's clock."""

    def __init__(
        self,
        journey: Journey,
        answer: Answer,
        pipeline: Pipeline,
        tracing: Tracing,
        metrics: RouterMetrics,
        arrived_s: float,
    ) -> None:
        self._journey = journey
        self._answer = answer
        self._pipeline = pipeline
        self._tracing = tracing
        self._metrics = metrics
        self._arrived_s = arrived_s

    async def run(self, write: Write, *, echo_timings: bool) -> FinishReason:
        """Stream to the end and return why it ended. Leaving by cancellation or error stops the work in both phases."""
        running = asyncio.create_task(self._pipeline.run(self._journey))
        running.add_done_callback(lambda _: self._journey.tokens.end())
        try:
            await self._write_tokens(write)
            outcome = None if self._answer.stopped else await running
        finally:
            await cancel_and_wait(running)
        with self._tracing.span(names.FINISH, attributes={names.REQUEST_ID: self._journey.request.request_id}):
            return await self._write_end(write, outcome, echo_timings)

    async def _write_tokens(self, write: Write) -> None:
        tokens, answer = self._journey.tokens, self._answer
        written_s = 0.0
        while not answer.stopped and (token_ids := await tokens.next_batch()):
            await write(answer.message(token_ids, tokens.take_logprobs(len(token_ids))))
            now_s = time.perf_counter()
            if written_s:
                self._metrics.next_tokens(len(token_ids), now_s - written_s)
            else:
                self._journey.times.ttft_ms = (now_s - self._arrived_s) * 1e3
                self._metrics.first_tokens(len(token_ids), now_s - self._arrived_s)
            written_s = now_s

    async def _write_end(self, write: Write, outcome: Outcome | None, echo_timings: bool) -> FinishReason:
        times = self._journey.times
        times.total_ms = (time.perf_counter() - self._arrived_s) * 1e3
        cached, loaded = self._journey.cached_tokens, self._journey.loaded_tokens
        last, reason = self._answer.end(outcome, times if echo_timings else None, cached, loaded)
        await write(last)
        return reason
