"""Owns who is at the other end of a unix socket: its credentials as the kernel knows them, and a way to end it."""

import os
import signal
import socket
import struct
from dataclasses import dataclass

_UCRED = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Peer:
    """SO_PEERCRED. pid is 0 when the process is in a pid namespace that this one cannot see."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: socket.socket) -> Peer:
    """Credentials of the process that connected, or that listens."""
    return Peer(*_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


def open_pidfd(peer: Peer) -> int | None:
    """A descriptor of exactly this process, which a reused pid cannot confuse; None if it is gone or out of sight."""
    if peer.pid == 0:
        return None
    try:
        return os.pidfd_open(peer.pid)
    except OSError:
        return None


def kill(pidfd: int) -> bool:
    """SIGKILL the process; whether it was allowed. A process that has ended already counts as killed."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True
