"""Owns what the prefix verbs do, and who waits: workers that recall pages or save some, and prompts too large for what
is pinned."""

from collections import deque
from collections.abc import Callable, Sequence

from splitwiser.errors import InvalidRequest, SplitwiserError
from splitwiser.kv.handle_proto import epoch_from_proto
from splitwiser.kv.owner import Owner
from splitwiser.kv.prefix_hash import HASH_BYTES
from splitwiser.kv.prefix_ledger import PrefixLedger
from splitwiser.kv.reader import Reader
from splitwiser.store.wire import MAX_FRAME_PAGES, MAX_NAME_CHARS
from splitwiser.v1 import store_pb2
from splitwiser.v1.store_pb2 import StoreReply, StoreRequest

Answer = Callable[[Owner, int, StoreReply], None]
"""Sends a reply to the owner's call of that number, if the owner is still there."""
Refuse = Callable[[Owner, int, SplitwiserError], None]
"""The same, with what is wrong."""


class SharingDesk:
    """Serves the verbs on the prefix index. pool: the ledger; raises InvalidRequest while there is none."""

    def __init__(self, pool: Callable[[], PrefixLedger], answer: Answer, refuse: Refuse) -> None:
        self._pool = pool
        self._answer = answer
        self._refuse = refuse
        self._recalls: deque[tuple[Owner, int, int]] = deque()
        self._lookups: deque[tuple[Owner, StoreRequest]] = deque()
        self._saves: deque[tuple[Owner, int, int]] = deque()

    def look_up(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply | None:
        verb = request.look_up_prefix
        if not 0 < len(verb.handle_id) <= MAX_NAME_CHARS:
            raise InvalidRequest(f"a name of {len(verb.handle_id)} characters", help=f"use 1 to {MAX_NAME_CHARS}")
        reply = self._look_up(owner, verb)
        if reply is None:
            self._lookups.append((owner, request))
        return reply

    def _look_up(self, owner: Owner, verb: store_pb2.LookUpPrefix) -> StoreReply | None:
        reader = Reader(verb.parent, _hashes(verb.hashes), tuple(verb.tail), verb.need)
        beginning = self._pool().look_up(owner, verb.handle_id, reader, verb.limit, verb.due)
        if beginning is None:
            return None
        loads = beginning.loads
        return _pages((*beginning.pages, *loads.pages), loads.host_pages)

    def loaded(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        return _pages(self._pool().loaded(owner, request.prefix_loaded.handle_id))

    def forget(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        self._pool().forget(owner, request.forget_prefix.handle_id)
        return StoreReply(done=store_pb2.Done())

    def share_prompt(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        verb = request.share_prompt
        shared = self._pool().share_prompt(owner, verb.handle_id, epoch_from_proto(verb.epoch))
        return StoreReply(shared=store_pb2.Shared(pages=shared.pages, parent=shared.parent, tail=shared.tail))

    def share_answer(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        verb = request.share_answer
        epoch, hashes = epoch_from_proto(verb.epoch), _hashes(verb.hashes)
        return _pages(self._pool().share_answer(owner, verb.handle_id, epoch, verb.pages, hashes))

    def recall(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> None:
        """Get in line; go_on answers."""
        count = min(request.recall_pages.count, MAX_FRAME_PAGES)
        if count < 1:
            raise InvalidRequest("recalls no page", help="recall at least one")
        # Refuses those who may not: in line nobody is refused any more.
        self._pool().acquire(owner, 0)
        self._recalls.append((owner, request.call_id, count))

    def save(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> None:
        """Get in line; go_on answers."""
        count = min(request.save_pages.count, MAX_FRAME_PAGES // 2)
        if count < 1 or any(waiting == owner for waiting, *_ in self._saves):
            raise InvalidRequest("saves no page, or asks twice", help="save at least one, one batch after the other")
        # As for recall.
        self._pool().save(owner, 0)
        self._saves.append((owner, request.call_id, count))

    def saved(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        self._pool().saved(owner)
        return StoreReply(done=store_pb2.Done())

    def leave(self, owner: Owner) -> None:
        """The owner is gone."""
        self._saves = deque(entry for entry in self._saves if entry[0] != owner)
        self._recalls = deque(entry for entry in self._recalls if entry[0] != owner)
        self._lookups = deque(entry for entry in self._lookups if entry[0] != owner)

    def go_on(self) -> None:
        """Answer look-ups, recalls and saves, first come first served, as far as that goes now.

        To be called after whatever may free or unpin a page.
        """
        self._go_on_looking_up()
        self._go_on_recalling()
        self._go_on_saving()

    def _go_on_looking_up(self) -> None:
        while self._lookups:
            owner, request = self._lookups[0]
            try:
                reply = self._look_up(owner, request.look_up_prefix)
            except SplitwiserError as error:
                # Of an id that has been looked up since: by a caller that left before it was answered, and is back.
                self._lookups.popleft()
                self._refuse(owner, request.call_id, error)
                continue
            if reply is None:
                break
            self._lookups.popleft()
            self._answer(owner, request.call_id, reply)

    def _go_on_recalling(self) -> None:
        while self._recalls:
            owner, call_id, count = self._recalls[0]
            pages = self._pool().acquire(owner, count)
            if not pages:
                return
            self._recalls.popleft()
            self._answer(owner, call_id, _pages(pages))

    def _go_on_saving(self) -> None:
        while self._saves:
            owner, call_id, count = self._saves[0]
            copies = self._pool().save(owner, count)
            if not copies.pages:
                return
            self._saves.popleft()
            self._answer(owner, call_id, _pages(copies.pages, copies.host_pages))


def _hashes(joined: bytes) -> tuple[bytes, ...]:
    if len(joined) % HASH_BYTES:
        raise InvalidRequest(f"{len(joined)} bytes of hashes", help=f"send {HASH_BYTES} bytes for each page")
    return tuple(joined[start : start + HASH_BYTES] for start in range(0, len(joined), HASH_BYTES))


def _pages(pages: Sequence[int], host_pages: Sequence[int] = ()) -> StoreReply:
    return StoreReply(pages=store_pb2.Pages(pages=pages, host_pages=host_pages))
