"""Owns the ledger of a pool whose prompts share pages: the hand-off of ledger.py, and a sixth place, the prefix index.

A page goes from decode's set into the index when it is full, and from the index to a worker's set when it is evicted;
while it is there nobody owns it and nobody writes to it. Workers lend pages, those and free ones, and recall as many
when they need them. Without look-ups this is ledger.py's ledger. With host pages, what is evicted may have a copy
there: a look-up takes pages to copy it back to, which are nobody's as well, until they are in the index.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from splitwiser.kv import refusals
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.kv.host_index import Beginning, Copies, HostIndex
from splitwiser.kv.ledger import Ledger
from splitwiser.kv.owner import Counts, Owner, Role
from splitwiser.kv.prefix_index import PrefixIndex
from splitwiser.kv.reader import Reader
from splitwiser.kv.readers import Readers


@dataclass(frozen=True, slots=True)
class Shared:
    """A claimed prompt in the index. pages: those taken; tail: the ids after its last full page, which parent names."""

    pages: tuple[int, ...]
    parent: bytes
    tail: tuple[int, ...]


class PrefixLedger(Ledger):
    """A Ledger with an index. As there, a refused call changes nothing."""

    def __init__(self, store: str, incarnation: int, pages: int, layout_hash: str) -> None:
        super().__init__(store, incarnation, pages, layout_hash)
        self._index = PrefixIndex(lambda page: self._host.idle(page))
        self._readers = Readers(self._index)
        self._host = HostIndex(self._index)

    def keep_copies(self, host_pages: int) -> None:
        """From now on save and look_up know of so many host pages. Before the first page is shared."""
        self._host = HostIndex(self._index, host_pages)

    def acquire(self, owner: Owner, count: int) -> tuple[int, ...]:
        """As Ledger has it, but pages are evicted when free ones run out."""
        self._require(owner, Role.PREFILL, Role.DECODE)
        self._evict_for(count)
        return super().acquire(owner, count)

    def look_up(self, owner: Owner, handle_id: str, reader: Reader, limit: int, due: int) -> Beginning | None:
        """Pin what is known of the prompt's beginning, for the grant of that id; None: not yet. See Readers.look_up.

        Where there are loads, loaded or forget is to follow. Raises DuplicateRequest: the id is looked up already.
        """
        self._require(owner, Role.PREFILL)
        if self._readers.is_looking(owner, handle_id):
            raise self._refused(refusals.looked_up(handle_id))
        pages = self._readers.look_up(owner, handle_id, reader, limit, due)
        return None if pages is None else Beginning(pages, self._load(reader))

    def loaded(self, owner: Owner, handle_id: str) -> tuple[int, ...]:
        """The look-up's loads are copied: put their pages into the index, and return all that the reader has pinned.

        What has come into the index meanwhile is read there; the page that was filled for nothing is free. Raises
        UnknownHandle.
        """
        reader = self._readers.loading(owner, handle_id)
        if reader is None:
            raise self._refused(refusals.not_loading(handle_id))
        loads, hashes = reader.loads, reader.unknown[: len(reader.loads.pages)]
        added = self._index.add(loads.pages, hashes)
        self._readers.loaded(reader, self._index.find(hashes))
        self._end_load(Copies(tuple(set(loads.pages) - set(added)), loads.host_pages))
        return reader.pinned

    def forget(self, owner: Owner, handle_id: str) -> None:
        """The look-up's prompt will not be granted, and nothing is copied for it any more. Does nothing if it was."""
        self._end_load(self._readers.forget(owner, handle_id))

    def save(self, owner: Owner, count: int) -> Copies:
        """Hold pages to be copied to the host until saved; none: nothing is worth it now. See HostIndex.save.

        Raises InvalidRequest: the owner has a save under way.
        """
        self._require(owner, Role.PREFILL)
        if self._host.is_saving(owner):
            raise self._refused(refusals.saving())
        return self._host.save(owner, count)

    def saved(self, owner: Owner) -> None:
        """The owner's save is copied: it can be looked up. Raises InvalidRequest: there is none."""
        if not self._host.is_saving(owner):
            raise self._refused(refusals.not_saving())
        self._host.saved(owner)

    def withdraw(self, owner: Owner, handle_id: str, epoch: Epoch) -> tuple[int, ...]:
        """As Ledger has it; the pins go."""
        pages = super().withdraw(owner, handle_id, epoch)
        self._readers.withdraw(epoch.counter)
        return pages

    def share_prompt(self, owner: Owner, handle_id: str, epoch: Epoch) -> Shared:
        """Put a claimed prompt's full pages into the index, pinned. Raises UnknownHandle or ForeignPages."""
        reader = self._reader(owner, handle_id, epoch)
        # Checked here and not believed: a page that was given away meanwhile holds something else.
        self._check_owned(owner, reader.pages)
        taken = self._readers.share(reader)
        self._take(owner, taken)
        return Shared(taken, reader.last, reader.tail)

    def share_answer(
        self, owner: Owner, handle_id: str, epoch: Epoch, pages: Sequence[int], hashes: Sequence[bytes]
    ) -> tuple[int, ...]:
        """End a claimed request: put full pages of the owner's into the index, and unpin what it read.

        Returns the pages taken. Raises UnknownHandle, InvalidRequest or ForeignPages.
        """
        self._reader(owner, handle_id, epoch)
        if len(hashes) != len(pages):
            raise self._refused(refusals.uneven_hashes(len(hashes), len(pages)))
        self._check_owned(owner, pages)
        taken = self._index.add(pages, hashes)
        self._take(owner, taken)
        self._readers.end(epoch.counter)
        return taken

    def drop(self, owner: Owner) -> int:
        """As Ledger has it; the owner's pins go too. What it put into the index is full, and stays."""
        counters = [counter for counter, grant in self._live.items() if grant.grantor == owner]
        freed = super().drop(owner)
        for counter in counters:
            self._readers.withdraw(counter)
        for loads in self._readers.drop(owner):
            self._end_load(loads)
        self._host.drop(owner)
        return freed

    def counts(self) -> Counts:
        """Where the pages are now."""
        idle, loading = self._index.idle_count, sum(len(loads.pages) for loads in self._readers.loads)
        return replace(super().counts(), cached=idle, shared=len(self._index.pages) - idle + loading)

    def check(self) -> None:
        """As Ledger has it; assert too that pages are pinned by those who read them."""
        super().check()
        self._readers.check()
        self._host.check(host_page for loads in self._readers.loads for host_page in loads.host_pages)

    def _pinned(self, owner: Owner, handle_id: str) -> tuple[int, ...]:
        if self._readers.loading(owner, handle_id):
            raise self._refused(refusals.loading(handle_id))
        return self._readers.pinned(owner, handle_id)

    def _on_granted(self, owner: Owner, handle: KvHandle) -> None:
        self._readers.grant(owner, handle)

    def _on_claimed(self, owner: Owner, counter: int) -> None:
        """The pins are the claimer's from now on."""
        self._readers.claim(owner, counter)

    def _places(self) -> list[Collection[int]]:
        return [*super()._places(), self._index.pages, *(loads.pages for loads in self._readers.loads)]

    def _load(self, reader: Reader) -> Copies:
        """Take pages for what the host has of the reader's prompt after those it has pinned: as many as there are."""
        host_pages = self._host.find(reader.unknown)[: reader.room]
        self._evict_for(len(host_pages))
        host_pages = host_pages[: len(self._free)]
        loads = Copies(tuple(self._free.popleft() for _ in host_pages), host_pages)
        self._host.pin(host_pages)
        self._readers.load(reader, loads)
        return loads

    def _end_load(self, loads: Copies) -> None:
        """These pages are used no more, and these host pages are not read any more."""
        self._free.extend(loads.pages)
        self._host.unpin(loads.host_pages)

    def _evict_for(self, count: int) -> None:
        self._free.extend(self._index.evict(count - len(self._free)))

    def _reader(self, owner: Owner, handle_id: str, epoch: Epoch) -> Reader:
        reader = self._readers.decoding(owner, epoch.counter)
        if reader is None or epoch.incarnation != self._incarnation:
            raise self._refused(refusals.unread(handle_id, epoch))
        return reader
