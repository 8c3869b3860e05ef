"""Owns what each verb does: the one place where requests meet the ledger and the shelf. Knows owners, not sockets."""

from collections.abc import Callable, Sequence

from splitwiser.errors import InvalidRequest, SplitwiserError
from splitwiser.kv.handle_proto import epoch_from_proto, epoch_to_proto, handle_to_proto
from splitwiser.kv.owner import Claim, Counts, Grant, Owner, Role
from splitwiser.kv.prefix_ledger import PrefixLedger
from splitwiser.memory.published import Published
from splitwiser.memory.segment import HOST_PAGES
from splitwiser.store.observer import StoreObserver
from splitwiser.store.pace_desk import PaceDesk
from splitwiser.store.sharing_desk import SharingDesk
from splitwiser.store.shelf import Shelf
from splitwiser.store.wire import MAX_FRAME_PAGES, MAX_NAME_CHARS, counts_to_proto, error_to_proto
from splitwiser.v1 import store_pb2
from splitwiser.v1.store_pb2 import StoreReply, StoreRequest

MAX_POOL_PAGES = 1 << 22

Send = Callable[[StoreReply, Sequence[int]], None]
Verb = Callable[[Owner, StoreRequest, Sequence[int]], StoreReply | None]


class Desk:
    """Serves attached owners. Nothing here waits: an obtain that must is answered when its segment is published, a
    claim when its promise is kept.
    """

    def __init__(self, store: str, incarnation: int, observer: StoreObserver) -> None:
        self.store = store
        self.incarnation = incarnation
        self._observer = observer
        self._ledger: PrefixLedger | None = None
        self._sharing = SharingDesk(self._pool, self._answer, self._refuse)
        self._shelf = Shelf()
        self._senders: dict[Owner, Send] = {}
        self._pace = PaceDesk(self._answer)
        self._verbs: dict[str, Verb] = {
            "beat": lambda owner, request, fds: _DONE,
            "obtain_segment": self._obtain,
            "publish_segment": self._publish,
            "acquire_pages": self._acquire,
            "release_pages": self._release,
            "promise_grant": self._promise,
            "grant_pages": self._grant,
            "claim_pages": self._claim,
            "leave_claim": self._leave_claim,
            "withdraw_grant": self._withdraw,
            "look_up_prefix": self._sharing.look_up,
            "prefix_loaded": self._sharing.loaded,
            "forget_prefix": self._sharing.forget,
            "share_prompt": self._sharing.share_prompt,
            "share_answer": self._sharing.share_answer,
            "recall_pages": self._sharing.recall,
            "save_pages": self._sharing.save,
            "pages_saved": self._sharing.saved,
            "tell_pace": self._pace.tell,
            "await_pace": self._pace.wait,
            "read_counts": lambda owner, request, fds: StoreReply(counts=counts_to_proto(self.counts())),
        }

    def enter(self, owner: Owner, send: Send) -> None:
        """From now on events of the owner's grants go to send."""
        self._senders[owner] = send

    def leave(self, owner: Owner) -> None:
        """The owner is gone: its pages and unclaimed grants are free, and somebody else makes what it was making."""
        del self._senders[owner]
        self._pace.leave(owner)
        if self._ledger:
            self._ledger.drop(owner)
        self._shelf.leave(owner)
        self._sharing.leave(owner)
        self._sharing.go_on()

    def serve(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> None:
        """Answer one request through the owner's sender. Takes fds over."""
        verb = request.WhichOneof("verb") or ""
        try:
            reply = self._verbs[verb](owner, request, fds)
        except SplitwiserError as error:
            self._refuse(owner, request.call_id, error)
            reply = None
        if reply:
            self._answer(owner, request.call_id, reply)
        self._sharing.go_on()

    def counts(self) -> Counts:
        """All zero until a pool is published."""
        return self._ledger.counts() if self._ledger else Counts()

    def close(self) -> None:
        """Close every segment's descriptors."""
        self._shelf.close()

    def _answer(self, owner: Owner, call_id: int, reply: StoreReply, fds: Sequence[int] = ()) -> None:
        answer = StoreReply(call_id=call_id)
        answer.MergeFrom(reply)
        # A peer that does not read may have been cut off by an earlier answer of the same moment.
        if send := self._senders.get(owner):
            send(answer, fds)

    def _refuse(self, owner: Owner, call_id: int, error: SplitwiserError) -> None:
        self._observer.refused(error.reason)
        self._answer(owner, call_id, StoreReply(failure=error_to_proto(error)))

    def _obtain(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> None:
        name = request.obtain_segment.name
        _check_name(name)
        if owner.role is Role.OBSERVER and name not in self._shelf.published:
            raise InvalidRequest(f"no segment {name} yet", help="ask again once a worker has published it")

        def answer(segment: Published | None) -> None:
            reply = StoreReply(segment=_segment_to_proto(segment))
            self._answer(owner, request.call_id, reply, segment.fds if segment else ())

        self._shelf.ask(name, owner, answer)

    def _publish(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        verb = request.publish_segment
        segment = Published(fds[0], fds[1], verb.size_bytes, verb.layout_hash)
        try:
            self._check_publication(verb)
            self._shelf.publish(verb.name, owner, segment)
        except SplitwiserError:
            segment.close()
            raise
        if verb.name == HOST_PAGES:
            self._pool().keep_copies(verb.pages)
        elif verb.pages:
            self._ledger = PrefixLedger(self.store, self.incarnation, verb.pages, verb.layout_hash)
        self._observer.segment(verb.name, verb.size_bytes)
        return _DONE

    def _check_publication(self, verb: store_pb2.PublishSegment) -> None:
        if bool(verb.pages) != bool(verb.layout_hash) or verb.pages > MAX_POOL_PAGES:
            raise InvalidRequest(
                f"segment {verb.name} with {verb.pages} pages of layout {verb.layout_hash!r}",
                help=f"publish a pool with its layout and at most {MAX_POOL_PAGES} pages, all else with neither",
            )
        if verb.name == HOST_PAGES:
            self._pool()
        elif verb.pages and self._ledger:
            raise InvalidRequest("there is a pool already", help="restart the store for another one")

    def _acquire(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        count = min(request.acquire_pages.count, MAX_FRAME_PAGES)
        return _pages(self._pool().acquire(owner, count))

    def _release(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        self._pool().release(owner, request.release_pages.pages)
        return _DONE

    def _promise(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        handle_id = request.promise_grant.handle_id
        _check_name(handle_id)
        return StoreReply(promised=epoch_to_proto(self._pool().promise(owner, handle_id)))

    def _grant(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        verb = request.grant_pages
        _check_name(verb.handle_id)
        if len(verb.pages) > MAX_FRAME_PAGES:
            raise InvalidRequest(f"grants {len(verb.pages)} pages", help=f"grant at most {MAX_FRAME_PAGES} at a time")
        epoch = epoch_from_proto(verb.epoch)
        handle = self._pool().grant(
            owner, verb.handle_id, epoch, verb.pages, verb.tokens, verb.layout_hash, verb.next_token_id
        )
        self._observer.granted()
        return StoreReply(granted=handle_to_proto(handle))

    def _claim(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> None:
        verb, call_id = request.claim_pages, request.call_id

        def answer(outcome: Grant | SplitwiserError) -> None:
            if isinstance(outcome, Grant):
                self._claimed(owner, call_id, outcome, verb.give)
            else:
                self._refuse(owner, call_id, outcome)

        claim = Claim(owner, tuple(verb.give), answer)
        self._pool().claim(verb.handle_id, epoch_from_proto(verb.epoch), verb.layout_hash, claim)

    def _claimed(self, owner: Owner, call_id: int, grant: Grant, given: Sequence[int]) -> None:
        """The claimer is told first: somebody waits for its next token."""
        self._answer(owner, call_id, StoreReply(claimed=handle_to_proto(grant.handle)))
        self._observer.claimed()
        handle = grant.handle
        event = store_pb2.GrantClaimed(handle_id=handle.handle_id, pages=given, epoch=epoch_to_proto(handle.epoch))
        self._answer(grant.grantor, 0, StoreReply(grant_claimed=event))

    def _leave_claim(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        verb = request.leave_claim
        self._pool().leave(owner, verb.handle_id, epoch_from_proto(verb.epoch))
        return _DONE

    def _withdraw(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        verb = request.withdraw_grant
        return _pages(self._pool().withdraw(owner, verb.handle_id, epoch_from_proto(verb.epoch)))

    def _pool(self) -> PrefixLedger:
        if self._ledger is None:
            raise InvalidRequest("no pool yet", help="obtain the segment 'pool' first")
        return self._ledger


_DONE = StoreReply(done=store_pb2.Done())


def _pages(pages: Sequence[int]) -> StoreReply:
    return StoreReply(pages=store_pb2.Pages(pages=pages))


def _segment_to_proto(segment: Published | None) -> store_pb2.Segment:
    if segment is None:
        return store_pb2.Segment(present=False)
    return store_pb2.Segment(present=True, size_bytes=segment.size_bytes, layout_hash=segment.layout_hash)


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise InvalidRequest(f"a name of {len(name)} characters", help=f"use 1 to {MAX_NAME_CHARS}")
