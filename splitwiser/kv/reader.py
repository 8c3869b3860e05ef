"""Owns what the ledger knows of one request that reads shared pages."""

from dataclasses import dataclass

from splitwiser.kv.host_index import NO_COPIES, Copies


@dataclass(slots=True, eq=False)
class Reader:
    """One request. hashes: of its prompt's full pages; parent: what the first one follows; tail: the ids after them.

    need: pages that decode lets it in with. pinned: the shared pages that it reads, in the order of the tokens in
    them. loads: pages that will follow them when they are copied from the host. room: how many more may be pinned for
    it. pages: those of the grant, after them.
    """

    parent: bytes
    hashes: tuple[bytes, ...]
    tail: tuple[int, ...]
    need: int = 0
    pinned: tuple[int, ...] = ()
    loads: Copies = NO_COPIES
    room: int = 0
    pages: tuple[int, ...] = ()

    @property
    def unknown(self) -> tuple[bytes, ...]:
        """Hashes of the full pages after those pinned that need not be computed.

        The last token always is, as the first one of the answer is drawn from it.
        """
        return self.hashes[len(self.pinned) :] if self.tail else self.hashes[len(self.pinned) : -1]

    @property
    def last(self) -> bytes:
        """What the page that the tail begins follows."""
        return self.hashes[-1] if self.hashes else self.parent
