"""Owns a worker's attachment to the store: its verbs, its beat, and its end."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

from splitwiser.errors import StartupError, StoreLost
from splitwiser.kv.handle import Epoch, KvHandle, KvPromise
from splitwiser.kv.handle_proto import epoch_from_proto, epoch_to_proto, handle_from_proto
from splitwiser.kv.host_index import Beginning, Copies
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.owner import Counts, Role
from splitwiser.kv.prefix_ledger import Shared
from splitwiser.kv.prefix_lookup import PinLimits
from splitwiser.memory import socket_path
from splitwiser.memory.memfd import MemfdMapper
from splitwiser.memory.peer import peer_of
from splitwiser.memory.segment import Made, Mapper, Segment
from splitwiser.store.calls import Calls
from splitwiser.store.obtain import StoreSegments
from splitwiser.store.wire import MAX_FRAME_PAGES, ROLE_TO_PROTO, VERSION, counts_from_proto
from splitwiser.v1 import store_pb2
from splitwiser.v1.store_pb2 import GrantClaimed, StoreRequest

RoleName = Literal["prefill", "decode", "observer"]
OnClaimed = Callable[[str, Epoch, tuple[int, ...]], None]


class StoreClient:
    """One attachment, made by connect; the loop that made it must keep turning, because it beats the lease.

    Every verb raises the store's refusal, or StoreLost; cancelling one does not undo it (kv/grants.py and
    kv/claims.py see to that). on_claimed(handle_id, epoch, pages) is told of each claim of this worker's grants: the
    pages are its own now. lost is set when the attachment ends by itself.
    """

    store: str
    incarnation: int

    def __init__(self, sock: socket.socket, on_claimed: OnClaimed | None, mapper: Mapper | None) -> None:
        self.on_claimed = on_claimed or (lambda handle_id, epoch, pages: None)
        self._calls = Calls(sock, self._take_event)
        self._segments = StoreSegments(self._calls, mapper or MemfdMapper())
        self.lost = self._calls.lost

    @classmethod
    async def connect(
        cls,
        socket: Path,
        role: RoleName,
        name: str,
        *,
        beat_s: float,
        on_claimed: OnClaimed | None = None,
        mapper: Mapper | None = None,
    ) -> Self:
        """Attach under a role. Raises StartupError when no store of this user and version listens there."""
        sock = socket_path.connect(socket)
        if (uid := peer_of(sock).uid) != os.geteuid():
            sock.close()
            raise StartupError(f"the store at {socket} is user {uid}'s", help="run store and workers as one user")
        client = cls(sock, on_claimed, mapper)
        await client._attach(Role(role), name, beat_s)
        return client

    async def _attach(self, role: Role, name: str, beat_s: float) -> None:
        try:
            attach = store_pb2.Attach(role=ROLE_TO_PROTO[role], name=name, version=VERSION)
            attached = (await self._calls.call(StoreRequest(attach=attach))).body.attached
        except BaseException:
            self._calls.close()
            raise
        self.store, self.incarnation = attached.store, attached.incarnation
        self._beating = asyncio.create_task(self._beat(beat_s, attached.lease_seconds))

    async def close(self) -> None:
        """End the attachment: pages and unclaimed grants are free at once. lost stays unset."""
        self._beating.cancel()
        await asyncio.wait([self._beating])
        self._calls.close()

    async def acquire(self, count: int) -> tuple[int, ...]:
        """Take free pages over: as many as there are, at most count."""
        pages: list[int] = []
        while len(pages) < count:
            verb = store_pb2.AcquirePages(count=min(count - len(pages), MAX_FRAME_PAGES))
            more = (await self._calls.call(StoreRequest(acquire_pages=verb))).body.pages.pages
            if not more:
                break
            pages.extend(more)
        return tuple(pages)

    async def release(self, pages: Sequence[int]) -> None:
        """Give pages back to the free set. Raises ForeignPages."""
        for start in range(0, len(pages), MAX_FRAME_PAGES):
            verb = store_pb2.ReleasePages(pages=pages[start : start + MAX_FRAME_PAGES])
            await self._calls.call(StoreRequest(release_pages=verb))

    async def promise(self, handle_id: str) -> Epoch:
        """Draw the epoch of a grant to come. Raises as Ledger.promise does."""
        verb = store_pb2.PromiseGrant(handle_id=handle_id)
        return epoch_from_proto((await self._calls.call(StoreRequest(promise_grant=verb))).body.promised)

    async def grant(self, promise: KvPromise, pages: Sequence[int], next_token: int) -> KvHandle:
        """Give pages, at most MAX_FRAME_PAGES, to whoever claims the promise. Raises as Ledger.grant does."""
        verb = store_pb2.GrantPages(
            handle_id=promise.handle_id,
            epoch=epoch_to_proto(promise.epoch),
            pages=pages,
            tokens=promise.tokens,
            layout_hash=promise.layout_hash,
            next_token_id=next_token,
        )
        return handle_from_proto((await self._calls.call(StoreRequest(grant_pages=verb))).body.granted)

    async def claim(self, promise: KvPromise, give: Sequence[int]) -> KvHandle:
        """Wait until the promise is kept, and take its pages over for as many own ones. Raises as Ledger.claim does."""
        epoch = epoch_to_proto(promise.epoch)
        verb = store_pb2.ClaimPages(
            handle_id=promise.handle_id, epoch=epoch, give=give, layout_hash=promise.layout_hash
        )
        return handle_from_proto((await self._calls.call(StoreRequest(claim_pages=verb))).body.claimed)

    async def leave_claim(self, promise: KvPromise) -> None:
        """End a claim that waits: it raises StaleHandle. Too late, it is answered as ever."""
        verb = store_pb2.LeaveClaim(handle_id=promise.handle_id, epoch=epoch_to_proto(promise.epoch))
        await self._calls.call(StoreRequest(leave_claim=verb))

    async def withdraw(self, handle_id: str, epoch: Epoch) -> tuple[int, ...]:
        """Take a promise back, or a grant and its pages. StaleHandle: it was claimed, as on_claimed has been told."""
        verb = store_pb2.WithdrawGrant(handle_id=handle_id, epoch=epoch_to_proto(epoch))
        return tuple((await self._calls.call(StoreRequest(withdraw_grant=verb))).body.pages.pages)

    async def look_up(
        self, handle_id: str, parent: bytes, hashes: Sequence[bytes], tail: Sequence[int], limits: PinLimits
    ) -> Beginning:
        """Pin the pages of a prompt's longest known beginning. Raises as PrefixLedger.look_up does."""
        verb = store_pb2.LookUpPrefix(
            handle_id=handle_id,
            parent=parent,
            hashes=b"".join(hashes),
            tail=tail,
            limit=limits.pinned,
            need=limits.need,
            due=limits.due,
        )
        found = (await self._calls.call(StoreRequest(look_up_prefix=verb))).body.pages
        there = len(found.pages) - len(found.host_pages)
        return Beginning(tuple(found.pages[:there]), Copies(tuple(found.pages[there:]), tuple(found.host_pages)))

    async def loaded(self, handle_id: str) -> tuple[int, ...]:
        """The loads of a look-up are copied. Returns all pages of the beginning, pinned."""
        verb = store_pb2.PrefixLoaded(handle_id=handle_id)
        return tuple((await self._calls.call(StoreRequest(prefix_loaded=verb))).body.pages.pages)

    async def forget(self, handle_id: str) -> None:
        """The prompt of a look-up will not be granted."""
        await self._calls.call(StoreRequest(forget_prefix=store_pb2.ForgetPrefix(handle_id=handle_id)))

    async def share_prompt(self, handle: KvHandle) -> Shared:
        """Put the full pages of a claimed prompt into the index. Raises as PrefixLedger.share_prompt does."""
        verb = store_pb2.SharePrompt(handle_id=handle.handle_id, epoch=epoch_to_proto(handle.epoch))
        shared = (await self._calls.call(StoreRequest(share_prompt=verb))).body.shared
        return Shared(tuple(shared.pages), shared.parent, tuple(shared.tail))

    async def share_answer(self, handle: KvHandle, pages: Sequence[int], hashes: Sequence[bytes]) -> tuple[int, ...]:
        """End a claimed request, and put full pages into the index. Raises as PrefixLedger.share_answer does."""
        epoch, joined = epoch_to_proto(handle.epoch), b"".join(hashes)
        verb = store_pb2.ShareAnswer(handle_id=handle.handle_id, epoch=epoch, pages=pages, hashes=joined)
        return tuple((await self._calls.call(StoreRequest(share_answer=verb))).body.pages.pages)

    async def recall(self, count: int) -> tuple[int, ...]:
        """Wait for 1 to count pages in place of some that were lent."""
        verb = store_pb2.RecallPages(count=count)
        return tuple((await self._calls.call(StoreRequest(recall_pages=verb))).body.pages.pages)

    async def save(self, count: int) -> Copies:
        """Wait for 1 to count pages to copy to the host; they are held until saved says that they are copied."""
        copies = (await self._calls.call(StoreRequest(save_pages=store_pb2.SavePages(count=count)))).body.pages
        return Copies(tuple(copies.pages), tuple(copies.host_pages))

    async def saved(self) -> None:
        """What save named is copied, in full."""
        await self._calls.call(StoreRequest(pages_saved=store_pb2.PagesSaved()))

    async def tell_pace(self, *, behind: bool) -> None:
        """Whether this decode worker's steps are behind, for prefill."""
        await self._calls.call(StoreRequest(tell_pace=store_pb2.TellPace(behind=behind)))

    async def caught_up(self) -> None:
        """Wait until no decode worker here is behind. One call at a time."""
        await self._calls.call(StoreRequest(await_pace=store_pb2.AwaitPace()))

    async def counts(self) -> Counts:
        """The ledger's counts; all zero until a pool is published."""
        reply = await self._calls.call(StoreRequest(read_counts=store_pb2.ReadCounts()))
        return counts_from_proto(reply.body.counts)

    async def obtain(
        self, name: str, make: Callable[[], Made], *, layout: PoolLayout | None = None, mapper: Mapper | None = None
    ) -> Segment:
        """As memory.segment.Segments has it; when make fails, the attachment ends, so that another worker makes it.

        mapper: of another memory than the worker's device.
        """
        return await self._segments.obtain(name, make, layout=layout, mapper=mapper)

    def _take_event(self, event: GrantClaimed) -> None:
        self.on_claimed(event.handle_id, epoch_from_proto(event.epoch), tuple(event.pages))

    async def _beat(self, beat_s: float, lease_s: float) -> None:
        while not self.lost.is_set():
            await asyncio.sleep(beat_s)
            try:
                async with asyncio.timeout(lease_s):
                    await self._calls.call(StoreRequest(beat=store_pb2.Beat()))
            except (StoreLost, TimeoutError):
                self._calls.lose()
