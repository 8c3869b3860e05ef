"""Owns one connection to the store: its frames, its lease, and that a worker cut off cannot write to its old pages."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence

from splitwiser.errors import StartupError
from splitwiser.kv.owner import Owner, Role
from splitwiser.memory.frame import Frame, FrameError
from splitwiser.memory.link import FrameLink
from splitwiser.memory.peer import Peer, kill, open_pidfd
from splitwiser.store.desk import Desk
from splitwiser.store.observer import StoreObserver
from splitwiser.store.wire import MAX_NAME_CHARS, ROLE_FROM_PROTO, VERSION, error_to_proto, read_request
from splitwiser.v1.store_pb2 import Attached, StoreReply, StoreRequest

_log = logging.getLogger(__name__)


class Connection:
    """One peer, from accept to the moment when nothing is its own any more; on_left is called then, once.

    End-of-file means that the process has ended or given up. A worker cut off for any other reason, a missed lease or a
    broken frame, may still run: it is killed, and its pages are freed only when it is dead. Where its process is out of
    sight (another pid namespace), its pages are freed at once and it learns of it by the end of its connection.
    """

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer,
        number: int,
        desk: Desk,
        *,
        lease_s: float,
        clock: Callable[[], float],
        observer: StoreObserver,
        on_left: Callable[["Connection"], None],
    ) -> None:
        self._number = number
        self._desk = desk
        self._lease_s = lease_s
        self._clock = clock
        self._observer = observer
        self._on_left = on_left
        self._owner: Owner | None = None
        self._who = f"process {peer.pid}"
        self._heard_s = clock()
        # A process never kills itself, so a store in its worker's process (in tests) needs no handle of it.
        self._pidfd = None if peer.pid == os.getpid() else open_pidfd(peer)
        self._link = FrameLink(sock, on_frame=self._take, on_end=self._end)

    def sweep(self) -> None:
        """Cut the peer off if its lease is over; beats that have arrived and were not read yet count."""
        if not self._link.closed and self._is_silent():
            self._link.read()
            if not self._link.closed and self._is_silent():
                self._observer.lease_expired()
                self._cut_off(f"silent for {self._lease_s} s")

    def forgive(self, seconds: float) -> None:
        """The store itself was stopped for so long: the peer could not have been heard."""
        self._heard_s += seconds

    def close(self) -> None:
        """Leave without a word: the store is going away, and its ledger with it."""
        self._link.close()
        self._close_pidfd()

    def _is_silent(self) -> bool:
        return self._clock() - self._heard_s > self._lease_s

    def _take(self, frame: Frame) -> None:
        request = read_request(frame)
        self._heard_s = self._clock()
        if self._owner and not request.HasField("attach"):
            self._desk.serve(self._owner, request, frame.fds)
        else:
            self._attach(frame, request)

    def _attach(self, frame: Frame, request: StoreRequest) -> None:
        role = ROLE_FROM_PROTO.get(request.attach.role)
        if self._owner or role is None or not 0 < len(request.attach.name) <= MAX_NAME_CHARS:
            raise frame.refuse("a connection starts with one Attach, of a role and a name")
        if request.attach.version != VERSION:
            self._turn_away(request)
            return
        self._owner = Owner(self._number, role)
        self._who = f"{role} worker {request.attach.name!r} ({self._who})"
        self._desk.enter(self._owner, self._send)
        self._observer.connected(role)
        attached = Attached(store=self._desk.store, incarnation=self._desk.incarnation, lease_seconds=self._lease_s)
        self._send(StoreReply(call_id=request.call_id, attached=attached))

    def _turn_away(self, request: StoreRequest) -> None:
        """It may try again, by the same connection or another: nothing is its own yet."""
        error = StartupError(
            f"the store is splitwiser {VERSION}, this worker {request.attach.version or 'of another version'}",
            help="run store and workers of one version",
        )
        self._observer.refused("OTHER_VERSION")
        self._send(StoreReply(call_id=request.call_id, failure=error_to_proto(error)))

    def _send(self, reply: StoreReply, fds: Sequence[int] = ()) -> None:
        self._link.send(reply.SerializeToString(), fds)

    def _end(self, error: FrameError | None) -> None:
        if error is None:
            self._leave()
        else:
            self._observer.malformed_frame()
            self._cut_off(str(error))

    def _cut_off(self, cause: str) -> None:
        self._link.close()
        if not self._owner or self._owner.role is Role.OBSERVER:
            self._leave()
        elif self._pidfd is not None and kill(self._pidfd):
            _log.warning("killed %s: %s", self._who, cause)
            asyncio.get_running_loop().add_reader(self._pidfd, self._leave)
        else:
            _log.warning("cut off %s, which may still run out of sight: %s", self._who, cause)
            self._leave()

    def _leave(self) -> None:
        self._close_pidfd()
        if self._owner:
            self._desk.leave(self._owner)
            self._observer.disconnected(self._owner.role)
            self._owner = None
        self._on_left(self)

    def _close_pidfd(self) -> None:
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
