"""Owns the contract of shared segments: memory that is made once in a stack, published, and mapped by everyone else.

A segment has two file descriptors: its data, opaque to whoever keeps it, and a manifest that says what is in it. Pools
(published with a layout) are mapped for writing; anything else is read-only from its publication on.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from splitwiser.kv.layout import PoolLayout


@dataclass(frozen=True, slots=True)
class Made:
    """A segment that its maker has filled and not yet published; whoever publishes it takes data_fd over."""

    data_fd: int
    size_bytes: int
    manifest: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """A mapped segment: size_bytes of memory at buffer, shared with every other process that maps it."""

    name: str
    buffer: memoryview
    manifest: bytes

    @property
    def size_bytes(self) -> int:
        return self.buffer.nbytes

    def close(self) -> None:
        """Unmap; if an array still looks at the memory, it is unmapped when that goes."""
        with suppress(BufferError):
            self.buffer.release()


class Segments(Protocol):
    """Where segments come from: the store's client, or local_segments.LocalSegments."""

    async def obtain(self, name: str, make: Callable[[], Made], *, layout: PoolLayout | None = None) -> Segment:
        """The published segment of that name, mapped; if there is none, the one make() returns, published.

        make runs once in the whole stack, in a thread; others wait. Raises LayoutMismatch when the published pool has
        another layout.
        """


class Mapper(Protocol):
    """Turns descriptors into memory; memfd.MemfdMapper is the CPU's."""

    def seal(self, fd: int, *, writable: bool) -> None:
        """Called once, before publication: nobody can resize it, nor write to it unless writable."""

    def map(self, fd: int, size_bytes: int, *, writable: bool) -> memoryview:
        """The memory behind fd; fd may be closed afterwards."""
