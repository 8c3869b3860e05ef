"""Owns one request's way through the workers: a place at prefill, an attempt, and another one after a loss.

Invariant: the client has each token once and in order, however many workers were lost on the way.
"""

import asyncio
import time
from collections.abc import Sequence
from itertools import count

from splitwiser.config.schema import RouterSettings
from splitwiser.errors import DuplicateRequest, GaveWay, StaleHandle, WorkerLost
from splitwiser.routing.attempt import Attempt
from splitwiser.routing.decode_call import LOST, doubting
from splitwiser.routing.journey import Journey
from splitwiser.routing.places import Places
from splitwiser.routing.request import Outcome, RoutedRequest
from splitwiser.routing.workers import DecodeWorker, PrefillWorker
from splitwiser.rpc import convert
from splitwiser.rpc.client import open_stream
from splitwiser.telemetry import names
from splitwiser.telemetry.metrics.router import RouterMetrics
from splitwiser.telemetry.tracing import Tracing
from splitwiser.v1 import prefill_pb2

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

        A lost worker costs another prefill, not the request: of the prompt and of the tokens that the client has. So
        does giving way, as often as it is asked for. Cancelling stops the work in both phases.
        """
        losses = 0
        for attempt in count():
            try:
                return await self._attempt(journey, admitted=attempt > 0)
            except (GaveWay, *RETRIED) as error:
                if outcome := journey.ended():
                    return outcome
                if isinstance(error, GaveWay):
                    self._metrics.gave_way()
                    continue
                if journey.tokens.count > 1 and not self._resumes:
                    raise _lost_in_mid_stream(journey) from error
                if losses == self._retries:
                    raise
                losses += 1
                self._metrics.retried()
        raise AssertionError("unreachable")

    async def _attempt(self, journey: Journey, *, admitted: bool) -> Outcome:
        """admitted: the request was with a prefill worker before, which may not have let it go yet."""
        for _ in range(LEAVING_TRIES if admitted else 0):
            try:
                return await self._run(journey, admitted=True)
            except DuplicateRequest:
                await asyncio.sleep(LEAVING_S)
        return await self._run(journey, admitted=admitted)

    async def _run(self, journey: Journey, *, admitted: bool) -> Outcome:
        waiting_since_ns = time.time_ns()
        message = _prefill_request(journey.request, journey.tokens.token_ids)
        async with Attempt(journey, self._decode, self._prefill.first_token) as attempt:
            async with (
                self._prefill.place(journey.request, admitted=admitted) as worker,
                doubting(worker),
                open_stream(worker.stub.Prefill, message, timeout_s=journey.deadline.remaining_s()) as events,
            ):
                self._record_queue(journey, waiting_since_ns, admitted=admitted)
                outcome = await attempt.follow(events)
            return outcome or await attempt.decoded()

    def _record_queue(self, journey: Journey, since_ns: int, *, admitted: bool) -> None:
        now_ns = time.time_ns()
        if not admitted:
            journey.times.queue_ms = (now_ns - since_ns) / 1e6
            self._metrics.left_queue(journey.times.queue_ms / 1e3)
        attributes = {names.REQUEST_ID: journey.request.request_id}
        self._tracing.record(names.QUEUE, since_ns, now_ns, attributes=attributes)


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
