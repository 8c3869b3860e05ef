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
from splitwiser.kv.owner import Counts, Grant, Owner, Role


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

    def grant(self, owner: Owner, handle_id: str, pages: Sequence[int], tokens: int, layout_hash: str) -> KvHandle:
        """The owner's pages leave it under a new epoch, until they are claimed or withdrawn.

        Raises InvalidRequest, LayoutMismatch, DuplicateRequest (a live grant has that handle id) or ForeignPages.
        """
        return self._grant(owner, handle_id, pages, tokens, layout_hash, shared=())

    def _grant(
        self,
        owner: Owner,
        handle_id: str,
        pages: Sequence[int],
        tokens: int,
        layout_hash: str,
        shared: tuple[int, ...],
    ) -> KvHandle:
        self._require(owner, Role.PREFILL)
        self._check_layout(layout_hash)
        if not handle_id or not pages or tokens < 1:
            raise self._refused(refusals.empty_grant())
        if handle_id in self._live_ids:
            raise self._refused(refusals.live_handle(handle_id))
        self._take(owner, pages)
        self._grants += 1
        epoch = Epoch(self._incarnation, self._grants)
        granted_ns = self._monotonic_ns()
        handle = KvHandle(self._store, handle_id, epoch, tuple(pages), tokens, layout_hash, granted_ns, shared)
        self._live[epoch.counter] = Grant(handle, owner)
        self._live_ids.add(handle_id)
        return handle

    def claim(self, owner: Owner, handle: KvHandle, give: Sequence[int]) -> Grant:
        """Consume a live grant: its pages become the owner's, give becomes the grantor's.

        Raises UnknownHandle, StaleHandle, LayoutMismatch, InvalidRequest (give has another size), or ForeignPages
        (the handle names other pages than were granted, or give is not the owner's).
        """
        self._require(owner, Role.DECODE)
        grant = self._find(handle.handle_id, handle.epoch)
        self._check_layout(handle.layout_hash)
        pages = grant.handle.pages
        if (handle.pages, handle.tokens, handle.shared) != (pages, grant.handle.tokens, grant.handle.shared):
            raise self._refused(refusals.altered_handle(handle.handle_id))
        if len(give) != len(pages):
            raise self._refused(refusals.unequal_exchange(len(give), len(pages)))
        self._take(owner, give)
        self._give(grant.grantor, give)
        self._give(owner, self._end(grant))
        self._claims += 1
        return grant

    def withdraw(self, owner: Owner, handle_id: str, epoch: Epoch) -> tuple[int, ...]:
        """Undo a live grant: its pages are the owner's again. Raises UnknownHandle, StaleHandle or ForeignPages."""
        grant = self._find(handle_id, epoch)
        if grant.grantor != owner:
            raise self._refused(refusals.foreign_grant(handle_id))
        pages = self._end(grant)
        self._give(owner, pages)
        return pages

    def drop(self, owner: Owner) -> int:
        """The owner is gone: free its pages and its unclaimed grants, and return how many pages that were."""
        freed = [*self._owned.pop(owner, ())]
        for grant in [grant for grant in self._live.values() if grant.grantor == owner]:
            freed.extend(self._end(grant))
        self._free.extend(freed)
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

    def _places(self) -> list[Collection[int]]:
        return [self._free, *self._owned.values(), *(grant.handle.pages for grant in self._live.values())]

    def _find(self, handle_id: str, epoch: Epoch) -> Grant:
        if epoch.incarnation != self._incarnation:
            raise self._refused(refusals.stale(handle_id, epoch))
        grant = self._live.get(epoch.counter)
        if grant is None and 0 < epoch.counter <= self._grants:
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
