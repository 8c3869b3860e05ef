"""The client's end of the connection: what was sent first is dealt with first."""

import asyncio
import socket

import pytest

from splitwiser.memory.frame import Frame
from splitwiser.memory.link import FrameLink
from splitwiser.store.calls import Calls
from splitwiser.v1.store_pb2 import Beat, Done, GrantClaimed, StoreReply, StoreRequest


@pytest.mark.parametrize("event_first", [True, False])
async def test_replies_and_events_are_dealt_with_in_the_order_in_which_they_were_sent(event_first: bool) -> None:
    """Also where this worker was busy and reads both at once: or it would take pages in that it has not given yet."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    order: list[str] = []

    def answer(frame: Frame) -> None:
        asked = StoreRequest.FromString(frame.payload)
        replies = [StoreReply(grant_claimed=GrantClaimed()), StoreReply(call_id=asked.call_id, done=Done())]
        for reply in replies if event_first else reversed(replies):
            store.send(reply.SerializeToString())

    store = FrameLink(theirs, on_frame=answer, on_end=lambda error: None)
    calls = Calls(ours, on_event=lambda event: order.append("event"))
    async with asyncio.timeout(10):
        await calls.call(StoreRequest(beat=Beat()))
        order.append("reply")
        while len(order) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert order == (["event", "reply"] if event_first else ["reply", "event"])
    calls.close()
    store.close()
