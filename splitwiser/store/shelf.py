"""Owns the published segments, and the lines of workers before those that are still being made."""

from collections import deque
from collections.abc import Callable, Mapping

from splitwiser.errors import InvalidRequest
from splitwiser.kv.owner import Owner
from splitwiser.memory.published import Published

MAX_SEGMENTS = 64

Answer = Callable[[Published | None], None]
"""Takes the segment; None makes whoever is answered its maker."""


class Shelf:
    """Each segment is published once and kept for the store's life. First in each line is the maker, the rest wait."""

    def __init__(self) -> None:
        self._published: dict[str, Published] = {}
        self._lines: dict[str, deque[tuple[Owner, Answer]]] = {}

    @property
    def published(self) -> Mapping[str, Published]:
        return self._published

    def ask(self, name: str, asker: Owner, answer: Answer) -> None:
        """Answer with the segment, with None where nobody makes it yet, or later. InvalidRequest: too many segments."""
        if name in self._published:
            answer(self._published[name])
            return
        if name not in self._lines and len(self._published) + len(self._lines) >= MAX_SEGMENTS:
            raise InvalidRequest(f"there are {MAX_SEGMENTS} segments", help="put more into fewer segments")
        line = self._lines.setdefault(name, deque())
        line.append((asker, answer))
        if len(line) == 1:
            answer(None)

    def publish(self, name: str, maker: Owner, segment: Published) -> None:
        """Keep the segment and answer all who wait. Raises InvalidRequest from anybody but its maker."""
        line = self._lines.get(name)
        if not line or line[0][0] != maker:
            raise InvalidRequest(f"not the maker of segment {name}", help="obtain a segment before publishing it")
        self._published[name] = segment
        del self._lines[name]
        for _, answer in list(line)[1:]:
            answer(segment)

    def leave(self, owner: Owner) -> None:
        """The owner is gone: where it was the maker, the next in line is."""
        for name, line in list(self._lines.items()):
            was_maker = line[0][0] == owner
            rest = deque(entry for entry in line if entry[0] != owner)
            if not rest:
                del self._lines[name]
                continue
            self._lines[name] = rest
            if was_maker:
                rest[0][1](None)

    def close(self) -> None:
        """Close every descriptor; mappings elsewhere stay."""
        while self._published:
            self._published.popitem()[1].close()
