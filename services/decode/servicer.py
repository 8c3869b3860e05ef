"""Owns DecodeService: a promise in, a claim once it is kept, and tokens out by the caller's link."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from services.decode.links import Links
from services.decode.marks import ClaimMarks, claim_marks
from services.decode.tokens import check_tokens
from splitwiser.engine.base import Decoded, DecodeEngine, DecodeJob, kv_positions
from splitwiser.errors import GaveWay, LayoutMismatch, SplitwiserError
from splitwiser.kv.claims import Claims
from splitwiser.kv.handle import KvHandle, KvPromise
from splitwiser.kv.handle_proto import promise_from_proto
from splitwiser.kv.prefix_sharing import Sharing
from splitwiser.kv.reports import Reports
from splitwiser.kv.rooms import Room, Rooms
from splitwiser.rpc import convert
from splitwiser.rpc.propagation import incoming_context
from splitwiser.telemetry import names
from splitwiser.telemetry.metrics.decode import DecodeMetrics
from splitwiser.telemetry.tracing import Tracing
from splitwiser.v1 import decode_pb2, decode_pb2_grpc


class DecodeServicer(decode_pb2_grpc.DecodeServiceServicer):
    """Claims first, computes after: no token comes from pages whose handle and epoch are not the ones claimed."""

    def __init__(
        self,
        engine: DecodeEngine,
        claims: Claims,
        sharing: Sharing | None,
        reports: Reports,
        links: Links,
        tracing: Tracing,
        metrics: DecodeMetrics,
        room_tokens: int,
    ) -> None:
        """sharing: None keeps every page to its request. room_tokens: as in DecodeSettings."""
        self._engine = engine
        self._rooms = Rooms(engine.pages, engine.layout)
        self._room_tokens = room_tokens
        self._claims = claims
        self._sharing = sharing
        self._reports = reports
        self._links = links
        self._tracing = tracing
        self._metrics = metrics

    async def StreamSteps(self, request: decode_pb2.StreamStepsRequest, context: Any) -> None:  # noqa: N802
        """Hold a router's link."""
        with self._links.open(request.link_id) as link:
            async for message in link.messages():
                await context.write(message)

    async def Decode(self, request: decode_pb2.DecodeRequest, context: Any) -> decode_pb2.DecodeResponse:  # noqa: N802
        """Run one request to its end; cancelling it leaves the batch within one step."""
        attributes = {names.REQUEST_ID: request.request_id}
        with self._tracing.span(names.DECODE, parent=incoming_context(context), attributes=attributes):
            return await self._decode(request)

    async def _decode(self, request: decode_pb2.DecodeRequest) -> decode_pb2.DecodeResponse:
        promise, stop = promise_from_proto(request.promise), convert.stop_from_proto(request.stop)
        sampling, link = convert.sampling_from_proto(request.sampling), self._links.get(request.link_id)
        check_tokens(request, promise.tokens, stop, sampling)
        most = kv_positions(promise.tokens, stop, request.first_index)
        first = kv_positions(promise.tokens, stop, request.first_index, self._room_tokens)
        handle, own, marks = await self._claim(promise, first)
        room = self._rooms.enter(handle.shared, own, most, request.priority)
        with self._held(handle, room) as token_ids, room:
            sink = link.sink(request.stream_id)

            def on_token(token_id: int) -> None:
                token_ids.append(token_id)
                room.reach(handle.tokens + len(token_ids))
                sink(token_id)

            job = DecodeJob(
                request_id=request.request_id,
                first_token=handle.next_token,
                prompt_tokens=handle.tokens,
                pages=room.pages,
                sampling=sampling,
                stop=stop,
                on_token=on_token,
                priority=request.priority,
                first_index=request.first_index,
                on_logprobs=None if sampling.logprobs is None else link.put_logprobs,
                earlier_tokens=tuple(request.earlier_token_ids),
                prompt_ids=tuple(request.prompt_token_ids),
            )
            decoded = await self._engine.decode(job)
        return self._answer(request.request_id, handle, decoded, marks)

    @contextmanager
    def _held(self, handle: KvHandle, room: Room) -> Iterator[list[int]]:
        """Give the request's own pages back in the end. The list takes its tokens as they come, after the first."""
        token_ids = [handle.next_token]
        if self._sharing is None:
            try:
                yield token_ids
            finally:
                self._engine.pages.free(room.own)
            return
        shared, broken = self._sharing.share(handle), False
        try:
            yield token_ids
        except GaveWay:
            raise
        except Exception:
            # The engine broke, perhaps within a step: what it has written last is not to be trusted.
            broken = True
            raise
        finally:
            # The last token was never fed back, so it has no KV.
            shared.end(room.own, () if broken else token_ids[:-1])

    async def _claim(self, promise: KvPromise, positions: int) -> tuple[KvHandle, tuple[int, ...], ClaimMarks]:
        """The handle and the request's own pages, granted ones first, as soon as they are granted.

        Our own pages are reserved before: having none free is the back-pressure, and the claim comes late.
        """
        try:
            self._check(promise)
            arrived_ns = time.time_ns()
            own = await self._engine.pages.reserve(self._engine.layout.pages_for(positions) - promise.shared)
            reserved_ns = time.time_ns()
            handle, pages = await self._claims.claim(promise, own)
        except SplitwiserError as error:
            self._metrics.refused(error.reason)
            raise
        marks = claim_marks(arrived_ns, reserved_ns, handle.granted_monotonic_ns)
        self._reports.claimed(promise.handle_id, handle.epoch)
        self._count_claim(handle, pages, marks)
        return handle, pages, marks

    def _count_claim(self, handle: KvHandle, pages: tuple[int, ...], marks: ClaimMarks) -> None:
        moved = sum(mine != granted for mine, granted in zip(pages, handle.pages, strict=False))
        handed_over, page_bytes = len(handle.shared) + len(handle.pages), self._engine.layout.page_bytes
        self._metrics.claimed(marks.queue_ms / 1e3, marks.claim_ms / 1e3, handed_over, moved * page_bytes)

    def _check(self, promise: KvPromise) -> None:
        if promise.layout_hash != self._engine.layout.hash:
            raise LayoutMismatch(
                "prefill and decode do not agree on model, dtype or page size",
                field="promise.layout_hash",
                help="start both from the same settings",
            )

    def _answer(
        self, request_id: str, handle: KvHandle, decoded: Decoded, marks: ClaimMarks
    ) -> decode_pb2.DecodeResponse:
        handoff_ms = (decoded.first_step_done_monotonic_ns - handle.granted_monotonic_ns) / 1e6
        first, last = decoded.first_step, decoded.last_step
        claimed: dict[str, str | float] = {
            names.PAGES: len(handle.pages),
            names.EPOCH: str(handle.epoch),
            names.GRANT_WAIT_MS: marks.grant_wait_ms,
        }
        phases: tuple[tuple[str, int, int, dict[str, str | float]], ...] = (
            (names.DECODE_QUEUE, marks.arrived_ns, marks.reserved_ns, {}),
            (names.CLAIM, marks.claiming_ns, marks.claimed_ns, claimed),
            (names.FIRST_STEP, first.start_ns, first.end_ns, {names.HANDOFF_MS: handoff_ms}),
            (names.DECODE_STEPS, first.end_ns, last.end_ns, {names.TOKENS: decoded.tokens}),
        )
        for name, start_ns, end_ns, attributes in phases:
            self._tracing.record(name, start_ns, end_ns, attributes={names.REQUEST_ID: request_id, **attributes})
        self._metrics.decoded(handoff_ms / 1e3, (last.end_ns - first.start_ns) / 1e9)
        return decode_pb2.DecodeResponse(
            finish_reason=convert.finish_to_proto(decoded.finish_reason),
            tokens=decoded.tokens,
            queue_ms=marks.queue_ms,
            claim_ms=marks.claim_ms,
            grant_to_first_step_ms=handoff_ms,
            decode_ms=(last.end_ns - first.start_ns) / 1e6,
        )
