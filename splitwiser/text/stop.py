"""Owns stop strings: text goes out up to the first of them, and not a character of what may yet become one."""

from collections.abc import Sequence


class StopMatcher:
    """Watches one completion. The stop string that is complete first wins; of two that end together, the longer."""

    def __init__(self, stop_strings: Sequence[str]) -> None:
        self._stop_strings = tuple(stop_strings)
        self._held = ""
        self._matched = False

    @property
    def matched(self) -> bool:
        """Whether a stop string came: all text before it is out, and add takes no more."""
        return self._matched

    def add(self, text: str) -> str:
        """The part of the text so far that can go out now."""
        text = self._held + text
        start = self._first_match(text)
        self._matched = start is not None
        kept = len(text) - self._held_back(text) if start is None else start
        self._held = "" if self._matched else text[kept:]
        return text[:kept]

    def flush(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held

    def _first_match(self, text: str) -> int | None:
        found = [(start + len(stop), start) for stop in self._stop_strings if (start := text.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _held_back(self, text: str) -> int:
        return max((beginning_at_end(text, stop) for stop in self._stop_strings), default=0)


def beginning_at_end(text: str, stop: str) -> int:
    """Length of the longest proper beginning of stop that text ends with."""
    start = text.find(stop[0], max(0, len(text) - len(stop) + 1))
    while start >= 0 and not stop.startswith(text[start:]):
        start = text.find(stop[0], start + 1)
    return len(text) - start if start >= 0 else 0
