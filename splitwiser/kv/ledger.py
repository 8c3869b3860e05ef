"""Owns the page ledger: whose each page is, which grants are live, and the fence that lets a grant be claimed once.

Knows no socket and no memory. Every page is in exactly one place: free, an owner's set, or a live grant. A refused call
changes nothing. Epochs are the only history that is kept: a counter that was issued and is not live is stale for ever.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence

from splitwiser.errors import SplitwiserError
from splitwiser.kv import refusals
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.kv.owner import Claim, Counts, Grant, Owner, Role
from splitwiser.kv.promises import Promises


class Ledger:
    """The ledger of one pool, pages 0 to pages - 1. All methods run on one thread."""

    def __init__(
        self,
        store: str,
        incarnation: int,
        pages: int,
        layout_hash: str,
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.total = pages
        self.layout_hash = layout_hash
        self._store = store
        self._incarnation = incarnation
        self._monotonic_ns = monotonic_ns
        self._free = deque(range(pages))
        self._owned: dict[Owner, set[int]] = {}
        self._live: dict[int, Grant] = {}
        self._live_ids: set[str] = set()
        self._promises = Promises(incarnation)
        self._grants = self._claims = self._refusals = 0

    def acquire(self, owner: Owner, count: int) -> tuple[int, ...]:
        """Free pages become the owner's: as many as there are, at most count."""
        self._require(owner, Role.PREFILL, Role.DECODE)
        pages = tuple(self._free.popleft() for _ in range(min(count, len(self._free))))
        self._give(owner, pages)
        return pages

    def release(self, owner: Owner, pages: Sequence[int]) -> None:
        """The owner's pages become free. Raises ForeignPages."""
        self._take(owner, pages)
        self._free.extend(pages)

    def promise(self, owner: Owner, handle_id: str) -> Epoch:
        """Draw the epoch of a grant to come: it can be claimed from now on, until it is withdrawn."""
        self._require(owner, Role.PREFILL)
        return self._promises.make(owner, handle_id)

    def grant(
        self,
        owner: Owner,
        handle_id: str,
        epoch: Epoch,
        pages: Sequence[int],
        tokens: int,
        layout_hash: str,
        next_token: int = 0,
    ) -> KvHandle:
        """Keep a promise: the owner's pages leave it until they are claimed, which a claim that waits does at once.

        Raises InvalidRequest, LayoutMismatch, DuplicateRequest (a live grant has that handle id), UnknownHandle,
        StaleHandle or ForeignPages. What a claim is refused for is its claimer's to hear: the grant then stays live.
        """
        self._require(owner, Role.PREFILL)
        self._check_layout(layout_hash)
        if not handle_id or not pages or tokens < 1:
            raise self._refused(refusals.empty_grant())
        if handle_id in self._live_ids:
            raise self._refused(refusals.live_handle(handle_id))
        self._check_promised(owner, handle_id, epoch)
        shared = self._pinned(owner, handle_id)
        self._take(owner, pages)
        self._grants += 1
        handle = KvHandle(
            self._store, handle_id, epoch, tuple(pages), tokens, layout_hash, self._monotonic_ns(), shared, next_token
        )
        grant = self._live[epoch.counter] = Grant(handle, owner)
        self._live_ids.add(handle_id)
        self._on_granted(owner, handle)
        if claim := self._promises.keep(epoch):
            self._serve(grant, claim)
        return handle

    def claim(self, handle_id: str, epoch: Epoch, layout_hash: str, claim: Claim) -> None:
        """Consume a grant, once it is made: its pages become the claimer's, claim.give becomes the grantor's.

        A later claim of the same promise takes the place of one that waits, which is stale then. Raises, or answers
        where it had to wait, UnknownHandle, StaleHandle, LayoutMismatch, InvalidRequest (give has another size), or
        ForeignPages (give is not the claimer's).
        """
        self._require(claim.claimer, Role.DECODE)
        self._check_layout(layout_hash)
        if promise := self._promises.find(handle_id, epoch):
            self._check_owned(claim.claimer, claim.give)
            self._promises.wait(promise, epoch, claim)
        else:
            claim.answer(self._exchange(self._find(handle_id, epoch), claim))

    def leave(self, owner: Owner, handle_id: str, epoch: Epoch) -> None:
        """End the owner's claim if it waits; it is answered as stale."""
        self._promises.leave(owner, handle_id, epoch)

    def withdraw(self, owner: Owner, handle_id: str, epoch: Epoch) -> tuple[int, ...]:
        """Undo a promise, or a live grant, whose pages are the owner's again. A claim that waits is stale then.

        Raises UnknownHandle, StaleHandle or ForeignPages.
        """
        if self._promises.find(handle_id, epoch):
            self._check_promised(owner, handle_id, epoch)
            self._promises.break_(epoch)
            return ()
        grant = self._find(handle_id, epoch)
        if grant.grantor != owner:
            raise self._refused(refusals.foreign_grant(handle_id))
        pages = self._end(grant)
        self._give(owner, pages)
        return pages

    def drop(self, owner: Owner) -> int:
        """The owner is gone: free its pages and its unclaimed grants, and return how many pages that were.

        Its promises are broken, its claims wait no more.
        """
        freed = [*self._owned.pop(owner, ())]
        for grant in [grant for grant in self._live.values() if grant.grantor == owner]:
            freed.extend(self._end(grant))
        self._free.extend(freed)
        self._promises.drop(owner)
        return len(freed)

    def counts(self) -> Counts:
        """Where the pages are now."""
        of_role = dict.fromkeys(Role, 0)
        for owner, pages in self._owned.items():
            of_role[owner.role] += len(pages)
        granted = sum(len(grant.handle.pages) for grant in self._live.values())
        return Counts(
            self.total,
            len(self._free),
            of_role[Role.PREFILL],
            granted,
            of_role[Role.DECODE],
            self._grants,
            self._claims,
            self._refusals,
        )

    def check(self) -> None:
        """Assert that every page is in exactly one place, and that the live grants agree with their ids."""
        grants = [grant.handle for grant in self._live.values()]
        everywhere = sorted(page for place in self._places() for page in place)
        assert everywhere == list(range(self.total)), "a page is in two places, or in none"
        assert sorted(self._live_ids) == sorted(handle.handle_id for handle in grants), "a live id without its grant"
        self._promises.check(self._live)

    def _places(self) -> list[Collection[int]]:
        return [self._free, *self._owned.values(), *(grant.handle.pages for grant in self._live.values())]

    def _pinned(self, owner: Owner, handle_id: str) -> tuple[int, ...]:
        """Pages before those that are granted."""
        return ()

    def _on_granted(self, owner: Owner, handle: KvHandle) -> None:
        """A grant is live."""

    def _on_claimed(self, owner: Owner, counter: int) -> None:
        """A grant was claimed."""

    def _serve(self, grant: Grant, claim: Claim) -> None:
        try:
            self._exchange(grant, claim)
        except SplitwiserError as error:
            claim.answer(error)
        else:
            claim.answer(grant)

    def _exchange(self, grant: Grant, claim: Claim) -> Grant:
        pages, give = grant.handle.pages, claim.give
        if len(give) != len(pages):
            raise self._refused(refusals.unequal_exchange(len(give), len(pages)))
        self._take(claim.claimer, give)
        self._give(grant.grantor, give)
        self._give(claim.claimer, self._end(grant))
        self._claims += 1
        self._on_claimed(claim.claimer, grant.handle.epoch.counter)
        return grant

    def _check_promised(self, owner: Owner, handle_id: str, epoch: Epoch) -> None:
        promise = self._promises.find(handle_id, epoch)
        if promise is None:
            self._find(handle_id, epoch)
            raise self._refused(refusals.live_handle(handle_id))
        if promise.grantor != owner:
            raise self._refused(refusals.foreign_grant(handle_id))

    def _find(self, handle_id: str, epoch: Epoch) -> Grant:
        if epoch.incarnation != self._incarnation:
            raise self._refused(refusals.stale(handle_id, epoch))
        grant = self._live.get(epoch.counter)
        if grant is None and 0 < epoch.counter <= self._promises.issued:
            raise self._refused(refusals.stale(handle_id, epoch))
        if grant is None or grant.handle.handle_id != handle_id:
            raise self._refused(refusals.unknown(handle_id, epoch))
        return grant

    def _end(self, grant: Grant) -> tuple[int, ...]:
        del self._live[grant.handle.epoch.counter]
        self._live_ids.remove(grant.handle.handle_id)
        return grant.handle.pages

    def _take(self, owner: Owner, pages: Sequence[int]) -> None:
        self._check_owned(owner, pages)
        if pages:
            self._owned[owner].difference_update(pages)

    def _check_owned(self, owner: Owner, pages: Sequence[int]) -> None:
        owned, named = self._owned.get(owner, set()), set(pages)
        if len(named) != len(pages) or not named <= owned:
            raise self._refused(refusals.foreign_pages(named - owned))

    def _give(self, owner: Owner, pages: Sequence[int]) -> None:
        self._owned.setdefault(owner, set()).update(pages)

    def _require(self, owner: Owner, *roles: Role) -> None:
        if owner.role not in roles:
            raise self._refused(refusals.wrong_role(owner.role, roles))

    def _check_layout(self, layout_hash: str) -> None:
        if layout_hash != self.layout_hash:
            raise self._refused(refusals.wrong_layout(layout_hash, self.layout_hash))

    def _refused(self, error: SplitwiserError) -> SplitwiserError:
        self._refusals += 1
        return error
