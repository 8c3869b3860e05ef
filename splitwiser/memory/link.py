"""Owns a frame socket on the event loop: reading what arrives, and a bounded queue of what the peer is slow to take."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence

from splitwiser.memory.frame import (
    HEADER,
    MAX_PAYLOAD_BYTES,
    Frame,
    FrameError,
    allow_full_frames,
    receive_frame,
    send_frame,
)

MAX_QUEUED_BYTES = 8 * 1024 * 1024
QUEUED_FRAME_BYTES = 512
"""What a frame that waits costs beside its payload."""
FRAMES_PER_TURN = 64
"""Frames read before other connections get their turn."""


class FrameLink:
    """One connected socket. on_frame takes each frame's fds over and may raise FrameError.

    on_end is called once, unless close came first: with the FrameError that a peer's mistake caused, or None at
    end-of-file.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_frame: Callable[[Frame], None],
        on_end: Callable[[FrameError | None], None],
    ) -> None:
        sock.setblocking(False)
        allow_full_frames(sock)
        self._sock = sock
        self._on_frame = on_frame
        self._on_end = on_end
        self._buffer = bytearray(HEADER.size + MAX_PAYLOAD_BYTES)
        self._queue: deque[tuple[bytes, Sequence[int]]] = deque()
        self._queued_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self.read)
        self.closed = False

    def send(self, payload: bytes, fds: Sequence[int] = ()) -> None:
        """Send now, or as soon as the peer takes it; fds must stay open until then. Who never reads is cut off."""
        if self.closed:
            return
        if self._queue or not self._sent(payload, fds):
            self._queue.append((payload, fds))
            self._queued_bytes += len(payload) + QUEUED_FRAME_BYTES
            self._loop.add_writer(self._sock, self._flush)
        if self._queued_bytes > MAX_QUEUED_BYTES:
            self._end(FrameError("the peer does not read what it is sent"))

    def read(self) -> None:
        """Handle what has arrived, up to a fair share."""
        for _ in range(FRAMES_PER_TURN):
            if self.closed or not self._read_one():
                return

    def close(self) -> None:
        """End the connection, without on_end. Safe to call twice."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()

    def _read_one(self) -> bool:
        try:
            frame = receive_frame(self._sock, self._buffer)
        except BlockingIOError:
            return False
        except FrameError as error:
            self._end(error)
            return False
        except ConnectionResetError:
            frame = None
        if frame is None:
            self._end(None)
        else:
            self._hand_on(frame)
        return frame is not None

    def _hand_on(self, frame: Frame) -> None:
        try:
            self._on_frame(frame)
        except FrameError as error:
            self._end(error)

    def _sent(self, payload: bytes, fds: Sequence[int]) -> bool:
        try:
            send_frame(self._sock, payload, fds)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            # The reader meets the same end, after the frames that came before it.
            return True
        return True

    def _flush(self) -> None:
        while self._queue and self._sent(*self._queue[0]):
            payload, _ = self._queue.popleft()
            self._queued_bytes -= len(payload) + QUEUED_FRAME_BYTES
        if not self._queue and not self.closed:
            self._loop.remove_writer(self._sock)

    def _end(self, error: FrameError | None) -> None:
        if not self.closed:
            self.close()
            self._on_end(error)
