"""A link hands frames on in order, waits for a slow reader up to a bound, and ends once."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from splitwiser.memory.frame import Frame, FrameError
from splitwiser.memory.link import FrameLink

Pair = tuple[socket.socket, socket.socket]


class Listener:
    """Keeps what a link tells."""

    def __init__(self, sock: socket.socket) -> None:
        self.frames: list[bytes] = []
        self.ends: list[FrameError | None] = []
        self.ended = asyncio.Event()
        self.last = asyncio.Event()
        self.link = FrameLink(sock, on_frame=self.take, on_end=self.end)

    def take(self, frame: Frame) -> None:
        if frame.payload == b"bad":
            raise frame.refuse("bad")
        if frame.payload == b"last":
            self.last.set()
        else:
            self.frames.append(frame.payload)

    def end(self, error: FrameError | None) -> None:
        self.ends.append(error)
        self.ended.set()


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        yield left, right


async def test_a_burst_arrives_in_order_though_the_reader_was_away(pair: Pair) -> None:
    sender, receiver = Listener(pair[0]), Listener(pair[1])
    sent = [str(number).encode() for number in range(5000)]
    for payload in sent:
        sender.link.send(payload)
    sender.link.send(b"last")
    await receiver.last.wait()
    sender.link.close()
    await receiver.ended.wait()
    assert receiver.frames == sent
    assert receiver.ends == [None]
    assert not sender.ends


async def test_a_peer_that_never_reads_is_cut_off(pair: Pair) -> None:
    sender = Listener(pair[0])
    while not sender.ends:
        sender.link.send(b"x")
    assert isinstance(sender.ends[0], FrameError)
    assert sender.link.closed
    sender.link.send(b"ignored")


async def test_a_refused_frame_ends_the_link_and_nothing_after_it_is_read(pair: Pair) -> None:
    sender, receiver = Listener(pair[0]), Listener(pair[1])
    for payload in (b"good", b"bad", b"late"):
        sender.link.send(payload)
    await receiver.ended.wait()
    await sender.ended.wait()
    assert receiver.frames == [b"good"]
    assert isinstance(receiver.ends[0], FrameError)
    assert len(receiver.ends) == 1
