"""Owns deadlines: gRPC does not pass them on by itself, so each call downstream gets what is left of the caller's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from splitwiser.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the event loop's clock, or never."""

    at_s: float | None

    @classmethod
    def of(cls, context: Any) -> "Deadline":
        """The deadline of a call being served."""
        remaining_s = context.time_remaining()
        return cls(None if remaining_s is None else asyncio.get_running_loop().time() + remaining_s)

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """That long from now."""
        return cls(asyncio.get_running_loop().time() + seconds)

    @asynccontextmanager
    async def enforced(self) -> AsyncIterator[None]:
        """Cancel the block at the deadline, and raise DeadlineExceeded from it."""
        try:
            async with asyncio.timeout_at(self.at_s) as limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise _passed() from None

    def remaining_s(self) -> float | None:
        """Seconds left for a call downstream; None without a deadline. Raises DeadlineExceeded when nothing is left."""
        if self.at_s is None:
            return None
        remaining_s = self.at_s - asyncio.get_running_loop().time()
        if remaining_s <= 0:
            raise _passed()
        return remaining_s


def _passed() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline passed", field="deadline", help="allow more time")
