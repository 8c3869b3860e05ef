"""Owns one request's call of decode: a place at a worker, the call, and its tokens by the worker's link."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from splitwiser.errors import Draining, StoreLost, WorkerLost
from splitwiser.routing.decode_link import OnToken
from splitwiser.routing.journey import Journey
from splitwiser.routing.places import Places
from splitwiser.routing.request import Outcome, RoutedRequest
from splitwiser.routing.workers import DecodeWorker, Worker
from splitwiser.rpc import convert
from splitwiser.rpc.client import call_unary
from splitwiser.v1 import decode_pb2, kv_pb2

LOST = (WorkerLost, Draining, StoreLost)
"""A worker went away under a call."""


class DecodeCall:
    """Calls decode for one request. on_token takes each token as it comes."""

    def __init__(self, journey: Journey, places: Places[DecodeWorker], on_token: OnToken) -> None:
        self._journey = journey
        self._places = places
        self._on_token = on_token

    async def run(self, promise: kv_pb2.KvPromise, first_index: int) -> Outcome:
        """From a place at a worker to the last token. Raises what the call failed with."""
        journey = self._journey
        async with self._places.place(journey.request) as worker, doubting(worker):
            stream_id, link = worker.link.open(self._on_token)
            message = _decode_request(journey.request, promise)
            message.link_id, message.stream_id, message.first_index = worker.link.link_id, stream_id, first_index
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
async def doubting(worker: Worker) -> AsyncIterator[None]:
    """Doubt the worker if it is lost within the block, so that a retry does not meet it again."""
    try:
        yield
    except LOST:
        worker.doubt()
        raise


def _decode_request(request: RoutedRequest, promise: kv_pb2.KvPromise) -> decode_pb2.DecodeRequest:
    return decode_pb2.DecodeRequest(
        request_id=request.request_id,
        promise=promise,
        sampling=convert.sampling_to_proto(request.sampling),
        stop=convert.stop_to_proto(request.stop),
        priority=request.priority,
        prompt_token_ids=request.prompt_ids if request.sampling.counts_prompt else (),
    )
