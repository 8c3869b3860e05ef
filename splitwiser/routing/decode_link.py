"""Owns the link to one decode worker: one stream that carries the tokens of all this router's requests there."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from itertools import count

from splitwiser.errors import SplitwiserError, WorkerLost
from splitwiser.rpc.client import open_stream
from splitwiser.v1 import decode_pb2, decode_pb2_grpc, sampling_pb2

OnToken = Callable[[int, sampling_pb2.TokenLogprobs | None], None]


class LinkStream:
    """One request's end of the link."""

    def __init__(self, on_token: OnToken) -> None:
        self._on_token = on_token
        self._received = 0
        self._progress = asyncio.Event()
        self._lost = False

    def push(self, token_id: int, logprobs: sampling_pb2.TokenLogprobs | None = None) -> None:
        self._received += 1
        self._on_token(token_id, logprobs)
        self._progress.set()

    def lose(self) -> None:
        self._lost = True
        self._progress.set()

    async def received(self, tokens: int) -> None:
        """Return when that many tokens came: the call's answer can overtake the link. WorkerLost if the link breaks."""
        while self._received < tokens:
            if self._lost:
                raise WorkerLost(
                    f"the decode worker went away after {self._received} tokens", help="send the request again"
                )
            self._progress.clear()
            await self._progress.wait()


class DecodeLink:
    """Keeps the stream open, and open again after a loss; hands each token to its request."""

    def __init__(self, stub: decode_pb2_grpc.DecodeServiceStub, retry_s: float = 0.2) -> None:
        self._stub = stub
        self._retry_s = retry_s
        self._streams: dict[int, LinkStream] = {}
        self._stream_ids = count(1)
        self.link_id = ""

    def open(self, on_token: OnToken) -> tuple[int, LinkStream]:
        """A new request's id on the link, and its stream."""
        stream_id = next(self._stream_ids)
        stream = self._streams[stream_id] = LinkStream(on_token)
        return stream_id, stream

    def close(self, stream_id: int) -> None:
        """The request has ended; late tokens of it are dropped."""
        self._streams.pop(stream_id, None)

    async def run(self, on_state: Callable[[bool], None]) -> None:
        """Hold the link until cancelled, saying when it comes up and when it is lost."""
        while True:
            with contextlib.suppress(SplitwiserError):
                await self._hold(on_state)
            on_state(False)
            for stream in self._streams.values():
                stream.lose()
            await asyncio.sleep(self._retry_s)

    async def _hold(self, on_state: Callable[[bool], None]) -> None:
        # A new id for every opening: the worker may still be tidying up after the old one.
        self.link_id = uuid.uuid4().hex
        request = decode_pb2.StreamStepsRequest(link_id=self.link_id)
        async with open_stream(self._stub.StreamSteps, request) as messages:
            async for message in messages:
                if not message.stream_ids:
                    on_state(True)
                self._deliver(message)

    def _deliver(self, message: decode_pb2.StreamStepsResponse) -> None:
        streams = self._streams
        logprobs = {entry.place: entry.logprobs for entry in message.logprobs}
        for place, (stream_id, token_id) in enumerate(zip(message.stream_ids, message.token_ids, strict=True)):
            if stream := streams.get(stream_id):
                stream.push(token_id, logprobs.get(place))
