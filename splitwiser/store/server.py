"""Owns the store's socket and its leases: who may connect, and who has been silent for too long."""

import asyncio
import itertools
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from splitwiser.kv.owner import Counts
from splitwiser.memory.peer import peer_of
from splitwiser.memory.socket_path import listen
from splitwiser.store.connection import Connection
from splitwiser.store.desk import Desk
from splitwiser.store.observer import StoreObserver

MAX_CONNECTIONS = 256
SWEEPS_PER_LEASE = 8
MAX_SWEEP_S = 0.5
ACCEPT_PAUSE_S = 0.1


class StoreServer:
    """Use as `async with StoreServer(...)`: inside, it serves. Entering raises StartupError when it cannot listen.

    Each start draws a new incarnation, so no handle of an earlier one is ever honoured. lease_s runs on clock, which
    must be monotonic.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        lease_s: float,
        observer: StoreObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.incarnation = secrets.randbits(64)
        self._path = path
        self._lease_s = lease_s
        self._observer = observer
        self._clock = clock
        self._desk = Desk(name, self.incarnation, observer)
        self._connections: set[Connection] = set()
        self._numbers = itertools.count(1)

    def counts(self) -> Counts:
        """Pages by place; all zero until a pool is published."""
        return self._desk.counts()

    def sweep(self) -> None:
        """Cut off everybody whose lease is over."""
        for connection in list(self._connections):
            connection.sweep()

    async def __aenter__(self) -> Self:
        self._listener = listen(self._path)
        self._start_accepting()
        self._sweeping = asyncio.create_task(self._sweep_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Disconnect everybody, for good. Safe to call twice."""
        if self._listener.fileno() == -1:
            return
        self._sweeping.cancel()
        await asyncio.wait([self._sweeping])
        asyncio.get_running_loop().remove_reader(self._listener)
        self._path.unlink(missing_ok=True)
        self._listener.close()
        while self._connections:
            self._connections.pop().close()
        self._desk.close()

    def _start_accepting(self) -> None:
        if self._listener.fileno() != -1:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # Out of descriptors: the listener stays readable, and trying at once again would only spin.
            loop.remove_reader(self._listener)
            loop.call_later(ACCEPT_PAUSE_S, self._start_accepting)
            return
        peer = peer_of(sock)
        if peer.uid != os.geteuid():
            self._turn_away(sock, "FOREIGN_USER")
        elif len(self._connections) >= MAX_CONNECTIONS:
            self._turn_away(sock, "TOO_MANY_CONNECTIONS")
        else:
            connection = Connection(
                sock,
                peer,
                next(self._numbers),
                self._desk,
                lease_s=self._lease_s,
                clock=self._clock,
                observer=self._observer,
                on_left=self._connections.discard,
            )
            self._connections.add(connection)

    def _turn_away(self, sock: socket.socket, reason: str) -> None:
        sock.close()
        self._observer.refused(reason)

    async def _sweep_forever(self) -> None:
        loop, pause_s = asyncio.get_running_loop(), min(self._lease_s / SWEEPS_PER_LEASE, MAX_SWEEP_S)
        while True:
            before_s = loop.time()
            await asyncio.sleep(pause_s)
            late_s = loop.time() - before_s - pause_s
            if late_s > pause_s:
                # This process was stopped, and perhaps its workers with it (Ctrl-Z): silence then proves nothing.
                for connection in self._connections:
                    connection.forgive(late_s)
            self.sweep()
