"""Owns whether prefill's next step may begin, or waits while decode makes up for what the last one cost it."""

from collections.abc import Callable


class StepGate:
    """Open at first. A step in flight goes on when it is closed."""

    def __init__(self) -> None:
        self.is_open = True
        self._on_open: list[Callable[[], None]] = []

    def on_open(self, wake: Callable[[], None]) -> None:
        """Call wake each time when it is opened."""
        self._on_open.append(wake)

    def close(self) -> None:
        self.is_open = False

    def open(self) -> None:
        self.is_open = True
        for wake in self._on_open:
            wake()
