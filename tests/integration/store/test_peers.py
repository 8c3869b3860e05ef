"""A peer that breaks the rules is closed and counted, costs no descriptor, and disturbs nobody."""

import asyncio
import os
import socket
import sys
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from splitwiser.memory.frame import HEADER, MAGIC
from splitwiser.memory.link import FRAMES_PER_TURN
from splitwiser.memory.socket_path import connect
from splitwiser.store import server as server_module
from splitwiser.store.wire import VERSION
from splitwiser.v1.store_pb2 import (
    ROLE_OBSERVER,
    ROLE_PREFILL,
    AcquirePages,
    Attach,
    Beat,
    ObtainSegment,
    PublishSegment,
    StoreRequest,
)
from tests.support.sockets import open_fds
from tests.support.store import Store

ATTACH = Attach(role=ROLE_PREFILL, name="raw", version=VERSION)


class RawPeer:
    """A peer that sends what it likes."""

    def __init__(self, store: Store) -> None:
        self.sock = connect(store.path)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else [])

    def request(self, request: StoreRequest, fds: Sequence[int] = ()) -> None:
        payload = request.SerializeToString()
        self.send(HEADER.pack(MAGIC, 1, len(fds), len(payload)) + payload, fds)

    async def closed(self) -> None:
        """Read until the store has closed the connection."""
        while True:
            try:
                if not await asyncio.get_running_loop().sock_recv(self.sock, 1 << 16):
                    return
            except ConnectionResetError:
                return


@asynccontextmanager
async def raw_peer(store: Store) -> AsyncIterator[RawPeer]:
    peer = RawPeer(store)
    try:
        yield peer
    finally:
        peer.sock.close()


@pytest.mark.parametrize(
    ("requests", "fd_count"),
    [
        pytest.param([b"GET / HTTP/1.1\r\n\r\n"], 0, id="another protocol"),
        pytest.param([HEADER.pack(MAGIC, 1, 0, 3) + b"\xff\xff\xff"], 0, id="not protobuf"),
        pytest.param([HEADER.pack(MAGIC, 1, 0, 1 << 20) + bytes(300_000)], 0, id="oversized"),
        pytest.param([HEADER.pack(MAGIC, 1, 8, 0)], 8, id="a flood of fds"),
        pytest.param([StoreRequest(call_id=1, beat=Beat())], 0, id="no attach"),
        pytest.param([StoreRequest(call_id=0, attach=ATTACH)], 0, id="no call id"),
        pytest.param([StoreRequest(call_id=1)], 0, id="no verb"),
        pytest.param([StoreRequest(call_id=1, attach=Attach(role=99, name="x"))], 0, id="no such role"),  # type: ignore[arg-type]
        pytest.param([StoreRequest(call_id=1, attach=Attach(role=ROLE_PREFILL))], 0, id="no name"),
        pytest.param([StoreRequest(call_id=n, attach=ATTACH) for n in (1, 2)], 0, id="attached twice"),
        pytest.param([StoreRequest(call_id=1, attach=ATTACH)], 2, id="fds with a verb that takes none"),
        pytest.param(
            [StoreRequest(call_id=1, attach=ATTACH), StoreRequest(call_id=2, publish_segment=PublishSegment(name="x"))],
            0,
            id="published without fds",
        ),
    ],
)
async def test_a_peer_that_breaks_the_rules_is_closed_and_counted(
    store: Store, requests: list[bytes | StoreRequest], fd_count: int
) -> None:
    bystander = await store.attach("prefill")
    await bystander.acquire(3)
    before = len(open_fds())
    async with raw_peer(store) as peer:
        for request in requests:
            fds = [0] * fd_count if request is requests[-1] else []
            if isinstance(request, bytes):
                peer.send(request, fds)
            else:
                peer.request(request, fds)
        await peer.closed()
    assert store.tally.counts["malformed_frame"] == 1
    assert len(open_fds()) <= before
    assert (await bystander.counts()).prefill == 3


async def test_ten_thousand_broken_frames_cost_no_descriptor(store: Store) -> None:
    before = len(open_fds())
    broken = StoreRequest(call_id=1, attach=ATTACH)
    for number in range(10_000):
        async with raw_peer(store) as peer:
            peer.request(broken, [0] * (1 + number % 3))
            await peer.closed()
    assert store.tally.counts["malformed_frame"] == 10_000
    assert len(open_fds()) <= before


async def test_a_refused_publication_closes_its_descriptors(store: Store) -> None:
    async with raw_peer(store) as peer:
        peer.request(StoreRequest(call_id=1, attach=ATTACH))
        before = len(open_fds())
        for number in range(200):
            peer.request(StoreRequest(call_id=2 + number, publish_segment=PublishSegment(name="x")), [0, 0])
        # The store serves its peers in turn: once this answer is here, the frames above were handled.
        watcher = await store.attach("observer")
        for _ in range(200 // FRAMES_PER_TURN + 1):
            await watcher.counts()
        assert store.tally.counts["INVALID_REQUEST"] == 200
        assert len(open_fds()) <= before + 3


async def test_a_peer_that_does_not_read_is_cut_off_and_its_pages_freed(store: Store) -> None:
    bystander = await store.attach("decode")
    async with raw_peer(store) as peer:
        peer.request(StoreRequest(call_id=1, attach=ATTACH))
        peer.request(StoreRequest(call_id=2, acquire_pages=AcquirePages(count=9)))
        number = 3
        while store.tally.counts["prefill"] or number < 100:
            try:
                peer.request(StoreRequest(call_id=number, beat=Beat()))
            except (BlockingIOError, BrokenPipeError):
                await asyncio.sleep(0)
            number += 1
    assert (await bystander.counts()).free == 64


async def test_a_peer_that_never_attaches_is_turned_out(store: Store) -> None:
    watcher = await store.attach("observer")
    async with raw_peer(store) as peer:
        await watcher.counts()
        store.clock.now_s += 20.1
        await watcher.counts()
        store.server.sweep()
        await peer.closed()
    assert store.tally.counts["lease_expired"] == 1


async def test_connections_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 2)
    await store.attach("observer")
    await store.attach("observer")
    async with raw_peer(store) as peer:
        await peer.closed()
    assert store.tally.counts["TOO_MANY_CONNECTIONS"] == 1


async def test_an_observer_that_waits_for_nothing_gets_a_refusal_not_a_segment(store: Store) -> None:
    async with raw_peer(store) as peer:
        peer.request(StoreRequest(call_id=1, attach=Attach(role=ROLE_OBSERVER, name="raw", version=VERSION)))
        peer.request(StoreRequest(call_id=2, obtain_segment=ObtainSegment(name="x" * 1000)))
        await (await store.attach("observer")).counts()
    assert store.tally.counts["INVALID_REQUEST"] == 1


STRANGER = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    sock.connect(sys.argv[1])
    print("closed" if sock.recv(1) == b"" else "served")
except PermissionError:
    print("no way in")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize(("opened", "outcome"), [(False, b"no way in\n"), (True, b"closed\n")])
async def test_another_user_gets_nowhere_even_where_the_files_modes_let_it(
    store: Store, opened: bool, outcome: bytes
) -> None:
    if opened:
        store.path.parent.chmod(0o755)
        store.path.chmod(0o666)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STRANGER, str(store.path), stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0] == outcome
    assert store.tally.counts["FOREIGN_USER"] == int(opened)
