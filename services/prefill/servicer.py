"""Owns PrefillService: one prompt in, a promise, its first token and a grant of its pages out."""

import time
from dataclasses import replace
from typing import Any

from services.prefill.events import Events
from splitwiser.engine.base import Prefilled, PrefillEngine, PrefillJob, kv_positions
from splitwiser.errors import DuplicateRequest, InvalidRequest
from splitwiser.kv.grants import Grants, PromisedGrant
from splitwiser.kv.handle import KvHandle
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.prefix_lookup import Found, Lookups
from splitwiser.kv.reports import Reports
from splitwiser.rpc import convert
from splitwiser.rpc.propagation import incoming_context
from splitwiser.telemetry import names
from splitwiser.telemetry.metrics.prefill import PrefillMetrics
from splitwiser.telemetry.tracing import Tracing
from splitwiser.v1 import prefill_pb2, prefill_pb2_grpc


class PrefillServicer(prefill_pb2_grpc.PrefillServiceServicer):
    """Keeps a request until decode has claimed its pages; a caller that leaves before that frees them."""

    def __init__(
        self,
        engine: PrefillEngine,
        grants: Grants,
        lookups: Lookups | None,
        reports: Reports,
        tracing: Tracing,
        metrics: PrefillMetrics,
        room_tokens: int,
    ) -> None:
        """lookups: None computes every prompt from its first token on. room_tokens: as in DecodeSettings."""
        self._engine = engine
        self._room_tokens = room_tokens
        self._grants = grants
        self._lookups = lookups
        self._reports = reports
        self._tracing = tracing
        self._metrics = metrics
        self._in_flight: set[str] = set()

    async def Prefill(self, request: prefill_pb2.PrefillRequest, context: Any) -> None:  # noqa: N802
        """Run the prompt once, however often it is asked for at the same time."""
        if request.request_id in self._in_flight:
            raise DuplicateRequest(f"{request.request_id} is being prefilled", help="use a new request id")
        self._in_flight.add(request.request_id)
        try:
            attributes = {names.REQUEST_ID: request.request_id}
            with self._tracing.span(names.PREFILL, parent=incoming_context(context), attributes=attributes):
                await self._prefill(request, context)
        finally:
            self._in_flight.discard(request.request_id)

    async def _prefill(self, request: prefill_pb2.PrefillRequest, context: Any) -> None:
        job, arrived_ns = _job(request), time.time_ns()
        if self._lookups is None:
            await self._run(job, context, arrived_ns)
            return
        positions = kv_positions(len(job.token_ids), job.stop, job.first_index, self._room_tokens)
        need = self._engine.layout.pages_for(positions)
        async with self._lookups.found(job.request_id, job.token_ids, need=need, salt=request.cache_salt) as found:
            job = replace(job, shared=found.pages, loaded=found.loaded)
            self._report_found(job, found)
            found.claimed = await self._run(job, context, arrived_ns)

    def _report_found(self, job: PrefillJob, found: Found) -> None:
        page_tokens = self._engine.layout.page_tokens
        loaded_tokens = found.loaded * page_tokens
        self._metrics.looked_up(len(job.token_ids), len(found.pages) * page_tokens, loaded_tokens=loaded_tokens)
        if found.loaded:
            attributes: dict[str, Any] = {names.REQUEST_ID: job.request_id, names.TOKENS: loaded_tokens}
            self._tracing.record(names.LOAD, found.load_start_ns, found.load_end_ns, attributes=attributes)

    async def _run(self, job: PrefillJob, context: Any, arrived_ns: int) -> bool:
        """Whether decode took the request over; if not, its first token was its last."""
        events = Events(context)
        async with self._grants.promised(job.request_id) as promised:
            job = _promising(job, promised, events, self._engine.layout)
            try:
                return await self._hand_over(job, promised, events, arrived_ns)
            finally:
                events.end()

    async def _hand_over(self, job: PrefillJob, promised: PromisedGrant, events: Events, arrived_ns: int) -> bool:
        prefilled = await self._engine.prefill(job)
        finish_reason = job.stop.reason(prefilled.first_token, job.first_index + 1)
        granting = False
        try:
            await events.write(self._first_token(job, prefilled, arrived_ns, finish_reason))
            granting = finish_reason is None
        finally:
            if not granting:
                self._engine.pages.free(prefilled.pages)
        if granting:
            await self._grant(job, prefilled, promised, events)
        await events.told()
        return granting

    def _first_token(
        self, job: PrefillJob, prefilled: Prefilled, arrived_ns: int, finish_reason: Any
    ) -> prefill_pb2.PrefillResponse:
        started_ns, ended_ns = prefilled.chunks[0].start_ns, prefilled.chunks[-1].end_ns
        attributes = {names.REQUEST_ID: job.request_id}
        self._tracing.record(names.PREFILL_QUEUE, arrived_ns, started_ns, attributes=attributes)
        for chunk in prefilled.chunks:
            self._tracing.record(
                names.PREFILL_CHUNK, chunk.start_ns, chunk.end_ns, attributes={**attributes, names.TOKENS: chunk.tokens}
            )
        self._metrics.prefilled((started_ns - arrived_ns) / 1e9, (ended_ns - started_ns) / 1e9)
        first = prefill_pb2.FirstToken(
            token_id=prefilled.first_token,
            finish_reason=convert.finish_to_proto(finish_reason),
            queue_ms=(started_ns - arrived_ns) / 1e6,
            prefill_ms=(ended_ns - started_ns) / 1e6,
            cached_tokens=len(job.shared) * self._engine.layout.page_tokens,
            loaded_tokens=job.loaded * self._engine.layout.page_tokens,
            logprobs=convert.logprobs_to_proto(prefilled.logprobs) if prefilled.logprobs else None,
        )
        return prefill_pb2.PrefillResponse(first_token=first)

    async def _grant(self, job: PrefillJob, prefilled: Prefilled, promised: PromisedGrant, events: Events) -> None:
        """Keep the promise, and stay until its pages are claimed."""
        start_ns, tokens = time.time_ns(), len(job.token_ids)
        handle = await promised.grant(prefilled.pages, len(job.shared), tokens, prefilled.first_token)
        end_ns = time.time_ns()
        self._tracing.record(names.GRANT, start_ns, end_ns, attributes=_grant_attributes(handle))
        self._metrics.granted()
        granted = prefill_pb2.Granted(grant_ms=(end_ns - start_ns) / 1e6)
        try:
            await events.write(prefill_pb2.PrefillResponse(granted=granted))
            self._reports.granted(handle)
            await promised.claimed.wait()
        finally:
            if not promised.claimed.is_set():
                self._metrics.withdrawn()


def _promising(job: PrefillJob, promised: PromisedGrant, events: Events, layout: PoolLayout) -> PrefillJob:
    """The job, telling its caller of the promise when it has started: it then has all that it needs to keep it.

    Not before: decode reserves pages for what was promised, and they must not wait for a prompt that waits for pages.
    """
    if job.first_index + 1 >= job.stop.max_tokens:
        return job
    tokens, shared = len(job.token_ids), len(job.shared)
    pages = layout.pages_for(tokens) - shared
    return replace(job, on_started=lambda: events.tell_promise(promised, pages=pages, shared=shared, tokens=tokens))


def _job(request: prefill_pb2.PrefillRequest) -> PrefillJob:
    if not request.token_ids:
        raise InvalidRequest("the prompt is empty", field="token_ids", help="call through the router")
    if request.first_index >= len(request.token_ids):
        raise InvalidRequest("no prompt before it", field="first_index", help="call through the router")
    return PrefillJob(
        request_id=request.request_id,
        token_ids=tuple(request.token_ids),
        sampling=convert.sampling_from_proto(request.sampling),
        priority=request.priority,
        first_index=request.first_index,
        stop=convert.stop_from_proto(request.stop),
    )


def _grant_attributes(handle: KvHandle) -> dict[str, Any]:
    return {names.REQUEST_ID: handle.handle_id, names.PAGES: len(handle.pages), names.EPOCH: str(handle.epoch)}
