"""Owns the index of shared pages: full pages that no worker owns, found by the hash of all tokens up to their end.

A shared page is never written to. It is pinned for each request that reads it, and only a page without pins is evicted.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice


class PrefixIndex:
    """Hash to page, pins, and which page was least recently used. Knows no owner. on_idle takes each page as it becomes
    idle: without a pin."""

    def __init__(self, on_idle: Callable[[int], None] = lambda page: None) -> None:
        self._on_idle = on_idle
        self._page_of: dict[bytes, int] = {}
        self._hash_of: dict[int, bytes] = {}
        self._pins: dict[int, int] = {}
        # Oldest first: a dict keeps the order in which pages lost their last pin.
        self._idle: dict[int, None] = {}
        self._held: set[int] = set()

    @property
    def pages(self) -> Collection[int]:
        return self._hash_of.keys()

    @property
    def idle_count(self) -> int:
        """Pages without a pin."""
        return len(self._idle)

    def find(self, hashes: Iterable[bytes]) -> tuple[int, ...]:
        """The pages of the longest known beginning of a chain."""
        pages: list[int] = []
        for page_hash in hashes:
            page = self._page_of.get(page_hash)
            if page is None:
                break
            pages.append(page)
        return tuple(pages)

    def add(self, pages: Sequence[int], hashes: Sequence[bytes]) -> tuple[int, ...]:
        """Take pages in, each under its hash, unpinned; return those taken: one whose content is known stays out."""
        added: list[int] = []
        # The end of a chain is of no use without its beginning: it is the first to be evicted.
        for page, page_hash in zip(reversed(pages), reversed(hashes), strict=True):
            if page_hash not in self._page_of:
                self._page_of[page_hash], self._hash_of[page] = page, page_hash
                self._pins[page] = 0
                self._become_idle(page)
                added.append(page)
        return tuple(reversed(added))

    def pin(self, pages: Iterable[int]) -> None:
        """One more request reads these pages."""
        for page in pages:
            self._pins[page] += 1
            self._idle.pop(page, None)

    def unpin(self, pages: Sequence[int]) -> None:
        """One request less; pages in the order of their chain."""
        for page in reversed(pages):
            self._pins[page] -= 1
            if not self._pins[page]:
                self._become_idle(page)

    def evict(self, count: int) -> tuple[int, ...]:
        """Forget evictable pages, the least recently used first: as many as there are, at most count."""
        pages = tuple(islice((page for page in self._idle if page not in self._held), max(0, count)))
        for page in pages:
            del self._idle[page], self._pins[page], self._page_of[self._hash_of.pop(page)]
        return pages

    def hash_of(self, page: int) -> bytes:
        """What the page is found by."""
        return self._hash_of[page]

    def is_evictable(self, page: int) -> bool:
        """Whether it is here, and neither pinned nor held."""
        return page in self._idle and page not in self._held

    def hold(self, pages: Iterable[int]) -> None:
        """Do not evict these, which are evictable; their turn stays what it is. For a copy that is under way."""
        self._held.update(pages)

    def let_go(self, pages: Iterable[int]) -> None:
        """They are held no more."""
        self._held.difference_update(pages)

    def check(self, pins: Iterable[int]) -> None:
        """Assert that the index agrees with itself and with these pins, one entry for each."""
        counted = dict.fromkeys(self._hash_of, 0)
        for page in pins:
            counted[page] += 1
        assert counted == self._pins, "pins that nobody holds, or held ones that are not counted"
        assert {page for page, count in counted.items() if not count} == self._idle.keys(), "idle pages with pins"
        assert {page: page_hash for page_hash, page in self._page_of.items()} == self._hash_of, "a hash of two pages"

    def check_held(self, pages: Sequence[int]) -> None:
        """Assert that these are held and no others, and that they are still here."""
        assert sorted(pages) == sorted(self._held), "pages held by nobody, or by two"
        assert self._held <= self._hash_of.keys(), "a page was evicted while it was held"

    def _become_idle(self, page: int) -> None:
        self._idle[page] = None
        self._on_idle(page)
