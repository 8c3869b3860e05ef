"""Owns one frame on a SOCK_SEQPACKET unix socket: a checked header, a payload, and the file descriptors beside it.

Nothing a peer sends is trusted: a frame that is cut short, too long or mislabelled is refused, and every descriptor
that came with it is closed.
"""

import os
import socket
import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAGIC = b"SPLW"
VERSION = 1
HEADER = struct.Struct("!4sHHI")
"""Magic, version, number of file descriptors, bytes of payload."""
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_FDS = 2
ANCILLARY_BYTES = socket.CMSG_SPACE(MAX_FDS * array("i").itemsize)
RECEIVE_FLAGS = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT


class FrameError(Exception):
    """A peer broke the protocol; its connection ends. closed_fds counts descriptors that came along and were closed."""

    def __init__(self, cause: str, *, closed_fds: int = 0) -> None:
        super().__init__(cause)
        self.closed_fds = closed_fds


@dataclass(frozen=True, slots=True)
class Frame:
    """A received frame. Its receiver owns fds: it keeps them or closes them."""

    payload: bytes
    fds: tuple[int, ...] = ()

    def refuse(self, cause: str) -> FrameError:
        """Close the frame's descriptors and return the error to raise."""
        return FrameError(cause, closed_fds=close_fds(self.fds))


def close_fds(fds: Iterable[int]) -> int:
    """Close all and return how many there were."""
    closed = 0
    for fd in fds:
        os.close(fd)
        closed += 1
    return closed


def allow_full_frames(sock: socket.socket) -> None:
    """Let the socket's send buffer take the largest frame in one packet, as far as the system's limit allows."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_PAYLOAD_BYTES + HEADER.size)


def send_frame(sock: socket.socket, payload: bytes, fds: Sequence[int] = ()) -> None:
    """Send one frame without blocking. fds stay the caller's. Raises BlockingIOError when the peer's queue is full."""
    assert len(payload) <= MAX_PAYLOAD_BYTES, len(payload)
    header = HEADER.pack(MAGIC, VERSION, len(fds), len(payload))
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
    sock.sendmsg([header, payload], ancillary, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def receive_frame(sock: socket.socket, buffer: bytearray) -> Frame | None:
    """Receive one frame without blocking; None at the end of the connection.

    buffer takes HEADER.size + MAX_PAYLOAD_BYTES bytes. Raises FrameError, or BlockingIOError when nothing has arrived.
    """
    size, ancillary, flags, _ = sock.recvmsg_into([buffer], ANCILLARY_BYTES, RECEIVE_FLAGS)
    frame = Frame(bytes(memoryview(buffer)[HEADER.size : size]), tuple(_fds_in(ancillary)))
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise frame.refuse("the frame or its file descriptors are more than allowed")
    if size == 0 and not frame.fds:
        return None
    if size < HEADER.size:
        raise frame.refuse("shorter than a header")
    magic, version, fd_count, length = HEADER.unpack_from(buffer)
    if (magic, version) != (MAGIC, VERSION):
        raise frame.refuse("not this protocol, or not this version of it")
    if (fd_count, length) != (len(frame.fds), len(frame.payload)):
        raise frame.refuse("the header's lengths are not the frame's")
    return frame


def _fds_in(ancillary: list[tuple[int, int, bytes]]) -> Iterable[int]:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds = array("i")
            yield from array("i", data[: len(data) // fds.itemsize * fds.itemsize])
