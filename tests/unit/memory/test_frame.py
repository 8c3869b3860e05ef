"""A frame arrives whole with exactly its descriptors, or is refused with every descriptor closed."""

import os
import socket
from array import array
from collections.abc import Iterator

import pytest

from splitwiser.memory.frame import (
    HEADER,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    Frame,
    FrameError,
    allow_full_frames,
    close_fds,
    receive_frame,
    send_frame,
)
from tests.support.sockets import open_fds

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        allow_full_frames(left)
        yield left, right


@pytest.fixture
def buffer() -> bytearray:
    return bytearray(HEADER.size + MAX_PAYLOAD_BYTES)


def send_raw(sock: socket.socket, data: bytes, fd_count: int = 0) -> None:
    fds = array("i", [0] * fd_count)
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fd_count else [])


def test_the_largest_frame_arrives_whole(pair: Pair, buffer: bytearray) -> None:
    payload = os.urandom(MAX_PAYLOAD_BYTES)
    send_frame(pair[0], payload)
    assert receive_frame(pair[1], buffer) == Frame(payload)


def test_descriptors_arrive_close_on_exec(pair: Pair, buffer: bytearray) -> None:
    reading, writing = os.pipe()
    send_frame(pair[0], b"", (reading, writing))
    frame = receive_frame(pair[1], buffer)
    assert frame is not None
    assert not any(os.get_inheritable(fd) for fd in frame.fds)
    os.write(frame.fds[1], b"x")
    assert os.read(reading, 1) == b"x"
    assert close_fds([*frame.fds, reading, writing]) == 4


def test_nothing_yet_and_the_end_are_told_apart(pair: Pair, buffer: bytearray) -> None:
    with pytest.raises(BlockingIOError):
        receive_frame(pair[1], buffer)
    pair[0].close()
    assert receive_frame(pair[1], buffer) is None


@pytest.mark.parametrize(
    ("data", "fd_count"),
    [
        pytest.param(b"SP", 0, id="shorter than a header"),
        pytest.param(HEADER.pack(b"HTTP", 1, 0, 0), 0, id="another protocol"),
        pytest.param(HEADER.pack(MAGIC, 2, 0, 0), 1, id="another version"),
        pytest.param(HEADER.pack(MAGIC, 1, 0, 5) + b"1234", 0, id="cut short"),
        pytest.param(HEADER.pack(MAGIC, 1, 0, 3) + b"1234", 2, id="longer than it says"),
        pytest.param(HEADER.pack(MAGIC, 1, 0, 0), 2, id="fds that the header does not name"),
        pytest.param(HEADER.pack(MAGIC, 1, 2, 0), 1, id="fewer fds than the header names"),
        pytest.param(HEADER.pack(MAGIC, 1, 3, 0), 3, id="more fds than any frame has"),
        pytest.param(HEADER.pack(MAGIC, 1, 60, 0), 60, id="a flood of fds"),
        pytest.param(HEADER.pack(MAGIC, 1, 1, 300_000) + bytes(300_000), 1, id="oversized"),
        pytest.param(b"", 1, id="empty with an fd"),
    ],
)
def test_ten_thousand_broken_frames_leak_no_descriptor(
    pair: Pair, buffer: bytearray, data: bytes, fd_count: int
) -> None:
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    before = open_fds()
    for _ in range(1000):
        send_raw(pair[0], data, fd_count)
        with pytest.raises(FrameError) as caught:
            receive_frame(pair[1], buffer)
        assert caught.value.closed_fds <= fd_count
    assert open_fds() == before
