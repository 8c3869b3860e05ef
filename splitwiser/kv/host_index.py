"""Owns which full pages have a copy in host memory: host pages, found by the same hashes as pages, and saves under way.

A host page is in the index only while its copy is whole, and it is not written to while one copies from it.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from splitwiser.kv.owner import Owner
from splitwiser.kv.prefix_index import PrefixIndex


@dataclass(frozen=True, slots=True)
class Copies:
    """Pages of the pool, and for each the host page that it is copied to or from."""

    pages: tuple[int, ...] = ()
    host_pages: tuple[int, ...] = ()


NO_COPIES = Copies()


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known of a prompt's beginning: pages that hold it, and those that will when the loads after them are
    copied."""

    pages: tuple[int, ...] = ()
    loads: Copies = NO_COPIES


class HostIndex:
    """Copies of the pages that pages, the pool's index, has or had. total: host pages; with 0 nothing is ever saved."""

    def __init__(self, pages: PrefixIndex, total: int = 0) -> None:
        self.total = total
        self._pages = pages
        self._index = PrefixIndex()
        self._free = deque(range(total))
        self._unsaved: dict[int, None] = {}
        self._saves: dict[Owner, Copies] = {}

    def idle(self, page: int) -> None:
        """Nobody reads the page any more: it is worth a copy, unless it has one when its turn comes."""
        if self.total:
            self._unsaved.pop(page, None)
            self._unsaved[page] = None

    def find(self, hashes: Iterable[bytes]) -> tuple[int, ...]:
        """The host pages of the longest known beginning of a chain."""
        return self._index.find(hashes)

    def pin(self, host_pages: Sequence[int]) -> None:
        """They are about to be copied from."""
        self._index.pin(host_pages)

    def unpin(self, host_pages: Sequence[int]) -> None:
        """They were; in the order of their chain."""
        self._index.unpin(host_pages)

    def is_saving(self, owner: Owner) -> bool:
        """Whether a save of this worker is under way."""
        return owner in self._saves

    def save(self, owner: Owner, count: int) -> Copies:
        """Hold up to count unsaved pages, those idle for longest first, and take a host page for each.

        A page is saved once for each time that it becomes idle: with fewer host pages than idle ones, copies would
        otherwise replace each other for ever.
        """
        pages = self._take_unsaved(min(count, len(self._free) + self._index.idle_count))
        self._free.extend(self._index.evict(len(pages) - len(self._free)))
        copies = Copies(pages, tuple(self._free.popleft() for _ in pages))
        if pages:
            self._pages.hold(pages)
            self._saves[owner] = copies
        return copies

    def saved(self, owner: Owner) -> None:
        """The copies of the owner's save are whole."""
        copies = self._saves.pop(owner)
        # The page that would be evicted first is the first of a save, and the last of those given to add.
        host_pages = copies.host_pages[::-1]
        added = self._index.add(host_pages, [self._pages.hash_of(page) for page in reversed(copies.pages)])
        self._free.extend(set(host_pages) - set(added))
        self._pages.let_go(copies.pages)

    def drop(self, owner: Owner) -> None:
        """The owner is gone: nobody knows what its save has written."""
        if copies := self._saves.pop(owner, None):
            self._free.extend(copies.host_pages)
            self._pages.let_go(copies.pages)

    def check(self, pins: Iterable[int]) -> None:
        """Assert that every host page is in one place, that the pins are these, and that pages are held by saves."""
        written = [host_page for copies in self._saves.values() for host_page in copies.host_pages]
        everywhere = sorted([*self._free, *self._index.pages, *written])
        assert everywhere == list(range(self.total)), "a host page is in two places, or in none"
        self._index.check(pins)
        self._pages.check_held([page for copies in self._saves.values() for page in copies.pages])

    def _take_unsaved(self, count: int) -> tuple[int, ...]:
        pages: list[int] = []
        while self._unsaved and len(pages) < count:
            page = next(iter(self._unsaved))
            del self._unsaved[page]
            if self._pages.is_evictable(page) and not self._touch(self._pages.hash_of(page)):
                pages.append(page)
        return tuple(pages)

    def _touch(self, page_hash: bytes) -> bool:
        """Whether there is a copy; it then counts as used now, as its page was."""
        host_pages = self._index.find([page_hash])
        self._index.pin(host_pages)
        self._index.unpin(host_pages)
        return bool(host_pages)
