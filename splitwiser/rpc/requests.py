"""Owns the count of requests in flight: the calls with an end of their own, apart from those that stand open."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class Requests:
    """Says when the last one has gone. standing: full names of the methods whose calls are no requests."""

    def __init__(self, standing: Collection[str] = ()) -> None:
        self._standing = frozenset(standing)
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def call(self, method: str) -> Iterator[None]:
        """Count a call of the method for the length of the block, if it is a request."""
        if method in self._standing:
            yield
            return
        self._count += 1
        self._none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    async def gone(self) -> None:
        """Return when none is in flight."""
        await self._none.wait()
