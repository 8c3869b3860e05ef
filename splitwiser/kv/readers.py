"""Owns who reads which shared pages: a request's pins from its look-up in prefill, by its grant, to its end in decode.

A reader's pins pass on with its KV, so a page is pinned without a gap for as long as any request may read it.
"""

from collections import Counter
from collections.abc import Iterator

from splitwiser.kv.handle import KvHandle
from splitwiser.kv.host_index import NO_COPIES, Copies
from splitwiser.kv.owner import Owner
from splitwiser.kv.prefix_index import PrefixIndex
from splitwiser.kv.reader import Reader


class Readers:
    """All readers of one index. Those that have not reached decode wait with their pins.

    What they pin together always leaves decode enough for the largest of them, so that none can wait for ever.
    """

    def __init__(self, index: PrefixIndex) -> None:
        self._index = index
        self._in_line: dict[tuple[Owner, str], int] = {}
        self._looking: dict[tuple[Owner, str], Reader] = {}
        self._granted: dict[int, Reader] = {}
        self._decoding: dict[int, tuple[Owner, Reader]] = {}
        self._awaited: Counter[int] = Counter()

    def is_looking(self, owner: Owner, handle_id: str) -> bool:
        """Whether this worker's look-up under this id is on."""
        return (owner, handle_id) in self._looking

    def look_up(self, owner: Owner, handle_id: str, reader: Reader, limit: int, due: int) -> tuple[int, ...] | None:
        """Pin the longest known beginning of a prompt; all that wait have at most limit pages pinned together.

        due: pages of a decode worker. None: the request would not find its need of them beside what is pinned. From now
        on nobody pins more, until it has come again.
        """
        key = (owner, handle_id)
        if reader.need + len(self._awaited) > due >= reader.need:
            self._in_line[key] = reader.need
            return None
        self._in_line.pop(key, None)
        found = self._index.find(reader.unknown)
        needs = (reader.need, *self._in_line.values(), *(other.need for other in self._waiting()))
        room = min(limit, due - max(needs)) - len(self._awaited)
        for number, page in enumerate(found):
            room -= page not in self._awaited
            if room < 0:
                found = found[:number]
                break
        reader.pinned, reader.room = found, max(0, room)
        self._index.pin(found)
        self._awaited.update(found)
        self._looking[key] = reader
        return found

    def load(self, reader: Reader, loads: Copies) -> None:
        """Pages, nobody's and in no index, are being filled for a reader that has looked up: they count as pinned."""
        reader.loads = loads
        self._awaited.update(loads.pages)

    def loading(self, owner: Owner, handle_id: str) -> Reader | None:
        """The reader under this id if pages are being filled for it."""
        reader = self._looking.get((owner, handle_id))
        return reader if reader and reader.loads.pages else None

    def loaded(self, reader: Reader, pages: tuple[int, ...]) -> None:
        """The loads are over: these pages of the index have what was to be in them, and are pinned from now on."""
        self._stop_awaiting(reader.loads.pages)
        reader.loads = NO_COPIES
        self._index.pin(pages)
        self._awaited.update(pages)
        reader.pinned += pages

    @property
    def loads(self) -> list[Copies]:
        """All that are being filled."""
        return [reader.loads for reader in self._looking.values() if reader.loads.pages]

    def forget(self, owner: Owner, handle_id: str) -> Copies:
        """The prompt will not be granted. Returns what was being loaded for it."""
        reader = self._looking.pop((owner, handle_id), None)
        if reader is None:
            return NO_COPIES
        self._stop_awaiting(reader.loads.pages)
        self._unpin_waiting(reader)
        return reader.loads

    def pinned(self, owner: Owner, handle_id: str) -> tuple[int, ...]:
        """What the look-up under this id found; nothing where there was none."""
        reader = self._looking.get((owner, handle_id))
        return reader.pinned if reader else ()

    def grant(self, owner: Owner, handle: KvHandle) -> None:
        """The look-up's prompt, if there was one, was granted."""
        if reader := self._looking.pop((owner, handle.handle_id), None):
            reader.pages = handle.pages
            self._granted[handle.epoch.counter] = reader

    def withdraw(self, counter: int) -> None:
        """The grant, if it had a look-up, will not be claimed."""
        if reader := self._granted.pop(counter, None):
            self._unpin_waiting(reader)

    def claim(self, owner: Owner, counter: int) -> None:
        """The grant was claimed: its pins are the claimer's."""
        if reader := self._granted.pop(counter, None):
            self._stop_waiting(reader)
            self._decoding[counter] = (owner, reader)

    def decoding(self, owner: Owner, counter: int) -> Reader | None:
        """The reader that this owner claimed."""
        holder, reader = self._decoding.get(counter, (None, None))
        return reader if holder == owner else None

    def share(self, reader: Reader) -> tuple[int, ...]:
        """Put the prompt's full pages, which the reader goes on reading, into the index; return those taken."""
        filled = tuple(zip(reader.pages, reader.hashes[len(reader.pinned) :], strict=False))
        added = self._index.add([page for page, _ in filled], [page_hash for _, page_hash in filled])
        reader.pages = ()
        self._index.pin(added)
        reader.pinned += added
        return added

    def end(self, counter: int) -> None:
        """The request is over."""
        _, reader = self._decoding.pop(counter)
        self._index.unpin(reader.pinned)

    def drop(self, owner: Owner) -> list[Copies]:
        """The owner is gone, and its grants are withdrawn. Returns what was being loaded for it."""
        loads = [self.forget(*key) for key in list(self._looking) if key[0] == owner]
        for key in [key for key in self._in_line if key[0] == owner]:
            del self._in_line[key]
        for counter in [counter for counter, (holder, _) in self._decoding.items() if holder == owner]:
            self.end(counter)
        return loads

    def check(self) -> None:
        """Assert that the pins are those of the readers."""
        waiting = [page for reader in self._waiting() for page in reader.pinned]
        loading = [page for copies in self.loads for page in copies.pages]
        assert +self._awaited == Counter([*waiting, *loading]), "awaited pages that no reader waits with"
        self._index.check([*waiting, *(page for _, reader in self._decoding.values() for page in reader.pinned)])

    def _waiting(self) -> Iterator[Reader]:
        yield from self._looking.values()
        yield from self._granted.values()

    def _unpin_waiting(self, reader: Reader) -> None:
        self._stop_waiting(reader)
        self._index.unpin(reader.pinned)

    def _stop_waiting(self, reader: Reader) -> None:
        self._stop_awaiting(reader.pinned)

    def _stop_awaiting(self, pages: tuple[int, ...]) -> None:
        for page in pages:
            self._awaited[page] -= 1
            if not self._awaited[page]:
                del self._awaited[page]
