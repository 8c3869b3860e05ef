"""Owns one request's way through the workers: a place at prefill, the first token, the grant, decode, and a retry.

Invariant: the client has each token once and in order, however many workers were lost on the way.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from splitwiser.config.schema import RouterSettings
from splitwiser.errors import Draining, DuplicateRequest, SplitwiserError, StaleHandle, StoreLost, WorkerLost
from splitwiser.routing.journey import Journey
from splitwiser.routing.places import Places
from splitwiser.routing.request import Outcome, RoutedRequest
from splitwiser.routing.tasks import cancel_and_wait
from splitwiser.routing.workers import DecodeWorker, PrefillWorker, Worker
from splitwiser.rpc import convert
from splitwiser.rpc.client import call_unary, open_stream
from splitwiser.telemetry import names
from splitwiser.telemetry.metrics.router import RouterMetrics
from splitwiser.telemetry.tracing import Tracing
from splitwiser.v1 import decode_pb2, prefill_pb2

LOST = (WorkerLost, Draining, StoreLost)
"""A worker went away under a call."""
RETRIED = (*LOST, StaleHandle)
"""The request's pages went away with a worker; what is known of its tokens can be prefilled again."""
LEAVING_S = 0.05
LEAVING_TRIES = 40
"""How long, and how often, a retry waits for the call before it to leave the prefill worker."""


class Pipeline:
    """Runs requests over the workers of both phases."""

    def __init__(
        self,
        prefill: Places[PrefillWorker],
        decode: Places[DecodeWorker],
        tracing: Tracing,
        metrics: RouterMetrics,
        settings: RouterSettings,
    ) -> None:
        self._prefill = prefill
        self._decode = decode
        self._tracing = tracing
        self._metrics = metrics
        self._retries = settings.retries
        self._resumes = settings.on_decode_loss == "resume"

    async def run(self, journey: Journey) -> Outcome:
        """Push every token of the request and return how it ended.

        A lost worker costs another prefill, not the request: of the prompt alone before the first decoded token, of the
        prompt and all tokens so far after it. Cancelling stops the work in both phases.
        """
        for retry in range(self._retries + 1):
            try:
                return await self._attempt(journey, retry)
            except RETRIED as error:
                if outcome := journey.ended():
                    return outcome
                if journey.first_index and not self._resumes:
                    raise _lost_in_mid_stream(journey) from error
                if retry == self._retries:
                    raise
                self._metrics.retried()
        raise AssertionError("unreachable")

    async def _attempt(self, journey: Journey, retry: int) -> Outcome:
        for _ in range(LEAVING_TRIES if retry else 0):
            try:
                return await self._run(journey, admitted=True)
            except DuplicateRequest:
                await asyncio.sleep(LEAVING_S)
        return await self._run(journey, admitted=retry > 0)

    async def _run(self, journey: Journey, *, admitted: bool) -> Outcome:
        waiting_since_ns = time.time_ns()
        first_index = journey.first_index
        message = _prefill_request(journey.request, journey.tokens.token_ids[:first_index])
        async with (
            self._prefill.place(journey.request, admitted=admitted) as worker,
            _doubting(worker),
            open_stream(worker.stub.Prefill, message, timeout_s=journey.deadline.remaining_s()) as events,
        ):
            self._record_queue(journey, waiting_since_ns)
            first: prefill_pb2.FirstToken = (await _next(events)).first_token
            if not journey.tokens.count:
                journey.times.prefill_queue_ms, journey.times.prefill_ms = first.queue_ms, first.prefill_ms
                journey.cached_tokens = first.cached_tokens
            journey.take_first(first_index, first)
            if reason := convert.finish_from_proto(first.finish_reason):
                return Outcome(reason, first_index + 1)
            granted: prefill_pb2.Granted = (await _next(events)).granted
            journey.times.grant_ms = granted.grant_ms
            decoding = asyncio.create_task(self._run_decode(journey, first_index, first.token_id, granted))
            try:
                await _until_claimed(events, decoding)
            except BaseException:
                await cancel_and_wait(decoding)
                raise
        try:
            return await decoding
        finally:
            await cancel_and_wait(decoding)

    def _record_queue(self, journey: Journey, since_ns: int) -> None:
        now_ns = time.time_ns()
        if not journey.tokens.count:
            journey.times.queue_ms = (now_ns - since_ns) / 1e6
        attributes = {names.REQUEST_ID: journey.request.request_id}
        self._tracing.record(names.QUEUE, since_ns, now_ns, attributes=attributes)

    async def _run_decode(
        self, journey: Journey, first_index: int, first_token_id: int, granted: prefill_pb2.Granted
    ) -> Outcome:
        async with self._decode.place(journey.request) as worker, _doubting(worker):
            stream_id, link = worker.link.open(journey.tokens.push)
            message = _decode_request(journey.request, granted)
            message.link_id, message.stream_id = worker.link.link_id, stream_id
            message.first_index, message.first_token_id = first_index, first_token_id
            if journey.request.sampling.structured_output:
                message.earlier_token_ids.extend(journey.tokens.token_ids[:first_index])
            try:
                answer: decode_pb2.DecodeResponse = await call_unary(
                    worker.stub.Decode, message, timeout_s=journey.deadline.remaining_s()
                )
                await link.received(answer.tokens)
            finally:
                worker.link.close(stream_id)
        times = journey.times
        times.decode_queue_ms, times.claim_ms = answer.queue_ms, answer.claim_ms
        times.grant_to_first_step_ms, times.decode_ms = answer.grant_to_first_step_ms, answer.decode_ms
        reason = convert.finish_from_proto(answer.finish_reason)
        assert reason is not None, "decode answers with a finish reason"
        return Outcome(reason, first_index + 1 + answer.tokens)


@asynccontextmanager
async def _doubting(worker: Worker) -> AsyncIterator[None]:
    """Doubt the worker if it is lost within the block, so that a retry does not meet it again."""
    try:
        yield
    except LOST:
        worker.doubt()
        raise


def _lost_in_mid_stream(journey: Journey) -> WorkerLost:
    return WorkerLost(
        f"the decode worker went away after {journey.tokens.count} tokens",
        help="send the request again, or set router.on_decode_loss=resume",
    )


def _prefill_request(request: RoutedRequest, streamed_ids: Sequence[int]) -> prefill_pb2.PrefillRequest:
    return prefill_pb2.PrefillRequest(
        request_id=request.request_id,
        token_ids=(*request.prompt_ids, *streamed_ids),
        first_index=len(streamed_ids),
        sampling=convert.sampling_to_proto(request.sampling),
        stop=convert.stop_to_proto(request.stop),
        priority=request.priority,
        cache_salt=request.cache_salt,
    )


def _decode_request(request: RoutedRequest, granted: prefill_pb2.Granted) -> decode_pb2.DecodeRequest:
    return decode_pb2.DecodeRequest(
        request_id=request.request_id,
        handle=granted.handle,
        sampling=convert.sampling_to_proto(request.sampling),
        stop=convert.stop_to_proto(request.stop),
        priority=request.priority,
    )


async def _next(events: AsyncIterator[Any]) -> Any:
    async for event in events:
        return event
    raise WorkerLost("the prefill worker ended the stream early", help="send the request again")


async def _until_claimed(events: AsyncIterator[Any], decoding: "asyncio.Task[Outcome]") -> None:
    """Hold the prefill stream until it ends, which means claimed. Its loss meanwhile is for decode's claim to judge."""
    claimed = asyncio.create_task(_drain(events))
    try:
        await asyncio.wait({claimed, decoding}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_and_wait(claimed)


async def _drain(events: AsyncIterator[Any]) -> None:
    try:
        async for _ in events:
            pass
    except SplitwiserError:
        return
