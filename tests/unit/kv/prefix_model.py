"""Owns what the machine of random prompts expects: whose each page is, what is written there, and who reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from splitwiser.errors import SplitwiserError
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.kv.host_index import NO_COPIES, Copies
from splitwiser.kv.owner import Grant, Owner

Text = tuple[str, ...]
"""What a page holds: the words of its own page and of all before it."""


@dataclass
class Request:
    """What the model knows of one request. own: its pages that are in some worker's set or in its grant."""

    id: str
    text: Text
    has_tail: bool
    prefill: Owner
    shared: tuple[int, ...]
    need: int
    own: list[int] = field(default_factory=list)
    handle: KvHandle | None = None
    decode: Owner | None = None
    prompt_is_shared: bool = False
    epoch: Epoch | None = None
    claim: tuple[Owner, list[int], list[Grant | SplitwiserError]] | None = None
    """The one that waits: whose it is, what it gives, and what it is told."""
    loads: Copies = NO_COPIES

    @property
    def holder(self) -> object:
        """Whose its own pages are."""
        return self.decode or self.handle


def state_of(request: Request) -> str:
    if request.decode:
        return "decoding"
    return "granted" if request.handle else "looking"


def hash_of(text: Text) -> bytes:
    return "/".join(text).encode()


class PoolModel:
    """holder: an owner, a handle, None (free), "index" or "load"; content: what was written to each page last.

    host: what was written to each host page last; copies: the whole ones, by their text; saves: those under way.
    """

    def __init__(self, pages: int, host_pages: int) -> None:
        self.holder: dict[int, object] = dict.fromkeys(range(pages))
        self.content: dict[int, Text] = dict.fromkeys(range(pages), ("zeros",))
        self.index: dict[Text, int] = {}
        self.requests: dict[str, Request] = {}
        self.host: dict[int, Text] = dict.fromkeys(range(host_pages), ("zeros",))
        self.copies: dict[Text, int] = {}
        self.saves: dict[Owner, Copies] = {}

    def evictable(self) -> list[int]:
        """Pages of the index that nobody reads and nobody copies from."""
        held = {page for copies in self.saves.values() for page in copies.pages}
        return [page for page in self.held_by("index") if page not in self.readers() and page not in held]

    def held_by(self, holder: object) -> list[int]:
        return [page for page, of in self.holder.items() if of == holder]

    def spare(self, owner: Owner) -> list[int]:
        """The owner's pages that no request of its own has."""
        busy = {page for request in self.requests.values() for page in request.own}
        busy |= {page for request in self.requests.values() if request.claim for page in request.claim[1]}
        return [page for page in self.held_by(owner) if page not in busy]

    def readers(self) -> dict[int, int]:
        """How many requests read each shared page."""
        pins: dict[int, int] = {}
        for request in self.requests.values():
            for page in request.shared:
                pins[page] = pins.get(page, 0) + 1
        return pins

    def waiting(self) -> set[int]:
        """Shared pages, and pages that are loaded, of requests that decode has not claimed."""
        waiting = [request for request in self.requests.values() if not request.decode]
        return {page for request in waiting for page in (*request.shared, *request.loads.pages)}

    def start_save(self, owner: Owner, copies: Copies) -> None:
        """Pages are copied to these host pages, which hold nothing whole until that is done."""
        assert len(copies.pages) == len(copies.host_pages)
        assert set(copies.pages) <= set(self.evictable()), "a page is copied that may be written to, or that is read"
        busy = [page for each in self.saves.values() for page in each.host_pages]
        busy += [page for request in self.requests.values() for page in request.loads.host_pages]
        assert not set(busy) & set(copies.host_pages), "a host page is written to while it is in use"
        self.copies = {text: page for text, page in self.copies.items() if page not in copies.host_pages}
        for page, host_page in zip(copies.pages, copies.host_pages, strict=True):
            assert self.content[page] not in self.copies, "a page is copied twice"
            self.host[host_page] = ("half",)
        self.saves[owner] = copies

    def end_save(self, owner: Owner) -> None:
        copies = self.saves.pop(owner)
        for page, host_page in zip(copies.pages, copies.host_pages, strict=True):
            self.host[host_page] = self.content[page]
            self.copies.setdefault(self.content[page], host_page)

    def end_load(self, request: Request) -> tuple[int, ...]:
        """Copy what was to be loaded; returns the pages of the index that have it."""
        loads, request.loads = request.loads, NO_COPIES
        found = []
        for page, host_page in zip(loads.pages, loads.host_pages, strict=True):
            text = self.content[page] = self.host[host_page]
            self.holder[page] = None if text in self.index else "index"
            found.append(self.index.setdefault(text, page))
        return tuple(found)

    def move(self, pages: Sequence[int], to: object) -> None:
        for page in pages:
            if self.holder[page] == "index":
                assert page in self.evictable(), "a page was evicted under a reader"
                del self.index[self.content[page]]
            self.holder[page] = to

    def enter(self, pages: Sequence[int], taken: Sequence[int]) -> None:
        """These pages were offered to the index: those whose text is new must have been taken."""
        new = [page for page in pages if self.content[page] not in self.index]
        assert sorted(taken) == sorted(new)
        for page in new:
            self.index[self.content[page]] = page
            self.holder[page] = "index"
