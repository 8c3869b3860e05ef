"""Owns the client's end of the connection: requests out, replies matched to them, events, and the end of it all."""

import asyncio
import itertools
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from splitwiser.errors import InvalidRequest, StoreLost
from splitwiser.memory.frame import MAX_PAYLOAD_BYTES, Frame, FrameError, close_fds
from splitwiser.memory.link import FrameLink
from splitwiser.store.wire import error_from_proto, read_reply
from splitwiser.v1.store_pb2 import GrantClaimed, StoreReply, StoreRequest


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; whoever made the call takes fds over."""

    body: StoreReply
    fds: tuple[int, ...]


class Calls:
    """Calls over one socket, any number at a time. lost is set when the connection ends, unless close ended it.

    Callers go on and events are told in the order in which replies and events were sent.
    """

    def __init__(self, sock: socket.socket, on_event: Callable[[GrantClaimed], None]) -> None:
        self.lost = asyncio.Event()
        self._on_event = on_event
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Reply]] = {}
        self._link = FrameLink(sock, on_frame=self._take, on_end=self._end)

    async def call(self, request: StoreRequest, fds: Sequence[int] = ()) -> Reply:
        """Send a request, which must have no call id yet, and await its reply.

        Cancelling does not undo what was sent. Raises the store's refusal, or StoreLost.
        """
        request.call_id = next(self._numbers)
        payload = request.SerializeToString()
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise InvalidRequest(
                f"a request of {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} are sent", help="name fewer pages"
            )
        if self._link.closed:
            raise _lost()
        future = asyncio.get_running_loop().create_future()
        self._pending[request.call_id] = future
        self._link.send(payload, fds)
        try:
            reply: Reply = await future
        except asyncio.CancelledError:
            _close_unseen(future)
            raise
        finally:
            self._pending.pop(request.call_id, None)
        if reply.body.HasField("failure"):
            raise error_from_proto(reply.body.failure)
        return reply

    def lose(self) -> None:
        """The store is gone, or as good as gone: end the connection and every call on it."""
        if not self.lost.is_set():
            self.lost.set()
            self.close()

    def close(self) -> None:
        """End the connection; calls in flight raise StoreLost."""
        self._link.close()
        for future in self._pending.values():
            if not future.done():
                future.set_exception(_lost())

    def _take(self, frame: Frame) -> None:
        reply = read_reply(frame)
        if reply.HasField("grant_claimed"):
            # On a later turn, as a reply's caller: what came first is dealt with first.
            asyncio.get_running_loop().call_soon(self._on_event, reply.grant_claimed)
            return
        future = self._pending.get(reply.call_id)
        if future is None or future.done():
            close_fds(frame.fds)
        else:
            future.set_result(Reply(reply, frame.fds))

    def _end(self, error: FrameError | None) -> None:
        self.lose()


def _close_unseen(future: "asyncio.Future[Reply]") -> None:
    """A reply may come in the moment in which its caller is cancelled."""
    if not future.cancelled() and not future.exception():
        close_fds(future.result().fds)


def _lost() -> StoreLost:
    return StoreLost(
        "the store's connection has ended: nobody knows any more whose pages are whose",
        help="start the worker again once the store is there",
    )
