"""Owns the links: for each router one stream of steps that carries the tokens of all its requests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from splitwiser.engine.base import TokenLogprobs
from splitwiser.errors import DuplicateRequest, WorkerLost
from splitwiser.rpc import convert
from splitwiser.v1 import decode_pb2


class Link:
    """Collects the tokens of one event-loop turn, which is one step, into one message."""

    def __init__(self) -> None:
        self._stream_ids: list[int] = []
        self._token_ids: list[int] = []
        self._logprobs: list[decode_pb2.StepLogprobs] = []
        self._filled = asyncio.Event()
        self._ending = False

    def end(self) -> None:
        """Send what there is, then end the stream."""
        self._ending = True
        self._filled.set()

    def sink(self, stream_id: int) -> Callable[[int], None]:
        """Where the engine puts one request's tokens."""

        def put(token_id: int) -> None:
            self._stream_ids.append(stream_id)
            self._token_ids.append(token_id)
            self._filled.set()

        return put

    def put_logprobs(self, logprobs: TokenLogprobs) -> None:
        """Where the engine puts those of the token that it puts next."""
        place = len(self._token_ids)
        self._logprobs.append(decode_pb2.StepLogprobs(place=place, logprobs=convert.logprobs_to_proto(logprobs)))

    async def messages(self) -> AsyncIterator[decode_pb2.StreamStepsResponse]:
        """First an empty message, then one whenever there are tokens. A slow router finds several steps in one."""
        yield decode_pb2.StreamStepsResponse()
        while True:
            await self._filled.wait()
            if self._ending and not self._stream_ids:
                return
            message = decode_pb2.StreamStepsResponse(
                stream_ids=self._stream_ids, token_ids=self._token_ids, logprobs=self._logprobs
            )
            self._stream_ids, self._token_ids, self._logprobs = [], [], []
            if not self._ending:
                self._filled.clear()
            yield message


class Links:
    """The open links by id."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._ended = False

    def end(self) -> None:
        """End every link, and those to come: no request is left whose tokens they could bring."""
        self._ended = True
        for link in self._links.values():
            link.end()

    @contextmanager
    def open(self, link_id: str) -> Iterator[Link]:
        """A link for as long as its stream lives."""
        if link_id in self._links:
            raise DuplicateRequest("the link is open already", field="link_id", help="draw a new link id")
        link = self._links[link_id] = Link()
        if self._ended:
            link.end()
        try:
            yield link
        finally:
            del self._links[link_id]

    def get(self, link_id: str) -> Link:
        """The link of a request. WorkerLost when it is not open: the router opens it and sends the request again."""
        if link := self._links.get(link_id):
            return link
        raise WorkerLost("no such link is open", field="link_id", help="open StreamSteps first")
