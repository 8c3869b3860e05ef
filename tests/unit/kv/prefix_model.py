"""Owns what the machine of random prompts expects: whose each page is, what is written there, and who reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from splitwiser.errors import SplitwiserError
from splitwiser.kv.handle import Epoch, KvHandle
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
    """holder: an owner, a handle, None (free) or "index"; content: what was written to each page last."""

    def __init__(self, pages: int) -> None:
        self.holder: dict[int, object] = dict.fromkeys(range(pages))
        self.content: dict[int, Text] = dict.fromkeys(range(pages), ("zeros",))
        self.index: dict[Text, int] = {}
        self.requests: dict[str, Request] = {}

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
        """Shared pages of requests that decode has not claimed."""
        return {page for request in self.requests.values() if not request.decode for page in request.shared}

    def move(self, pages: Sequence[int], to: object) -> None:
        for page in pages:
            if self.holder[page] == "index":
                assert page not in self.readers(), "a page was evicted under a reader"
                del self.index[self.content[page]]
            self.holder[page] = to

    def enter(self, pages: Sequence[int], taken: Sequence[int]) -> None:
        """These pages were offered to the index: those whose text is new must have been taken."""
        new = [page for page in pages if self.content[page] not in self.index]
        assert sorted(taken) == sorted(new)
        for page in new:
            self.index[self.content[page]] = page
            self.holder[page] = "index"
