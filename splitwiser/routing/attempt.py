"""Owns one way of a request through both phases: prefill's events, and decode, which is called before prefill ends.

Decode is asked as soon as prefill promises a grant, so that its claim waits at the store when the grant comes. So its
tokens may overtake prefill's on the way to here; they then wait for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

from splitwiser.errors import SplitwiserError, StaleHandle, WorkerLost
from splitwiser.routing.decode_call import LOST, DecodeCall
from splitwiser.routing.journey import Journey
from splitwiser.routing.places import Places
from splitwiser.routing.request import Outcome
from splitwiser.routing.tasks import cancel_and_wait
from splitwiser.routing.workers import DecodeWorker
from splitwiser.rpc import convert
from splitwiser.v1 import kv_pb2, prefill_pb2, sampling_pb2

ENDING_S = 1.0
"""How long a prefill call may take to end after decode has."""
CALLS = 4
"""Of decode, for one promise."""


class Attempt:
    """Use as `async with Attempt(...)`: leaving stops what still runs in decode.

    on_first is told how many seconds the prefill worker took to its token, its own queue included.
    """

    def __init__(self, journey: Journey, decode: Places[DecodeWorker], on_first: Callable[[float], None]) -> None:
        self._journey = journey
        self._on_first = on_first
        self._first_index = journey.first_index
        self._call = DecodeCall(journey, decode, self._take)
        self._promised: asyncio.Future[kv_pb2.KvPromise] = asyncio.get_running_loop().create_future()
        self._first, self._decodes = asyncio.Event(), asyncio.Event()
        self._early: list[tuple[int, sampling_pb2.TokenLogprobs | None]] = []
        self._claimed = False

    async def __aenter__(self) -> Self:
        self._decoding = asyncio.create_task(self._decode())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await cancel_and_wait(self._decoding)

    async def follow(self, events: AsyncIterator[Any]) -> Outcome | None:
        """Hold the prefill stream until it ends or nobody needs it; the outcome, if the first token was the last one.

        Raises what prefill failed with, unless decode can go on without it.
        """
        reading = asyncio.create_task(self._read(events))
        try:
            await self._until_settled(reading)
            if not reading.done():
                return None
            error = reading.exception()
            if error is None:
                return reading.result()
            if await self._goes_on_without(error):
                return None
            raise error
        finally:
            await cancel_and_wait(reading)

    async def decoded(self) -> Outcome:
        """Wait for decode to end."""
        return await self._decoding

    async def _until_settled(self, reading: "asyncio.Task[Outcome | None]") -> None:
        """Until the stream ends, or decode does for a reason that the stream has nothing to do with."""
        await asyncio.wait({reading, self._decoding}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return
        error = self._decoding.exception()
        if error is None:
            # Prefill ends in a moment, but for a hung one nobody has to wait who has its token.
            await asyncio.wait({reading}, timeout=ENDING_S if self._first.is_set() else None)
        elif isinstance(error, StaleHandle):
            # The promise was broken: prefill says why.
            await asyncio.wait({reading})

    async def _goes_on_without(self, error: BaseException) -> bool:
        """Whether decode has its pages although the prefill worker is lost: the store knows, and tells the claim."""
        if not (self._first.is_set() and self._promised.done() and isinstance(error, SplitwiserError)):
            return False
        token = asyncio.create_task(self._decodes.wait())
        try:
            await asyncio.wait({self._decoding, token}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(token)
        return not (self._decoding.done() and isinstance(self._decoding.exception(), StaleHandle))

    async def _read(self, events: AsyncIterator[Any]) -> Outcome | None:
        async for event in events:
            match event.WhichOneof("event"):
                case "promised" if not self._promised.done():
                    self._promised.set_result(event.promised)
                case "first_token":
                    if outcome := self._take_first(event.first_token):
                        return outcome
                case "granted":
                    self._journey.times.grant_ms = event.granted.grant_ms
        if not (self._promised.done() and self._first.is_set()):
            raise WorkerLost("the prefill worker ended the stream early", help="send the request again")
        self._claimed = True
        return None

    def _take_first(self, first: prefill_pb2.FirstToken) -> Outcome | None:
        journey = self._journey
        self._on_first((first.queue_ms + first.prefill_ms) / 1e3)
        if not journey.tokens.count:
            journey.times.prefill_queue_ms, journey.times.prefill_ms = first.queue_ms, first.prefill_ms
            journey.cached_tokens, journey.loaded_tokens = first.cached_tokens, first.loaded_tokens
        journey.take_first(first)
        self._first.set()
        for token_id, logprobs in self._early:
            journey.tokens.push(token_id, logprobs)
        reason = convert.finish_from_proto(first.finish_reason)
        return Outcome(reason, self._first_index + 1) if reason else None

    def _take(self, token_id: int, logprobs: sampling_pb2.TokenLogprobs | None) -> None:
        """Decode's next token."""
        self._decodes.set()
        if self._first.is_set():
            self._journey.tokens.push(token_id, logprobs)
        else:
            self._early.append((token_id, logprobs))

    async def _decode(self) -> Outcome:
        """Run decode for the promise, at another worker if one is lost before it has claimed."""
        promise = await self._promised
        lost: SplitwiserError | None = None
        for _ in range(CALLS):
            try:
                return await self._call.run(promise, self._first_index)
            except LOST as error:
                lost = error
                if self._claimed or self._decodes.is_set():
                    break
            except StaleHandle as error:
                # Where a worker was lost, it had claimed, and its pages went with it.
                raise lost or error from None
        assert lost
        raise lost
