"""Owns the contract of shared segments: memory that is made once in a stack, published, and mapped by everyone else.

A segment has two file descriptors: its data, opaque to whoever keeps it, and a manifest that says what is in it. Pools
(published with a layout) are mapped for writing; anything else is read-only from its publication on.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from splitwiser.kv.layout import PoolLayout

HOST_PAGES = "host pages"
"""Name of the segment, this machine's memory whatever the device, that has copies of the pool's pages."""


@dataclass(frozen=True, slots=True)
class Made:
    """A segment that its maker has filled and not yet published; whoever publishes it takes data_fd over."""

    data_fd: int
    size_bytes: int
    manifest: bytes


class Mapped(Protocol):
    """Memory that is mapped here: a memoryview where a CPU reads it, cuda.mapping.CudaMemory where a GPU does."""

    @property
    def nbytes(self) -> int: ...
    def release(self) -> None:
        """Unmap. A BufferError says that an array still looks at it: then that array's end unmaps it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A mapped segment: size_bytes of memory, shared with every other process that maps it."""

    name: str
    memory: Mapped
    manifest: bytes

    @property
    def size_bytes(self) -> int:
        return self.memory.nbytes

    @property
    def buffer(self) -> memoryview:
        """The memory as bytes. Only a CPU's has them: a GPU's becomes a tensor (cuda/tensors.py)."""
        assert isinstance(self.memory, memoryview), f"segment {self.name} is not this machine's memory"
        return self.memory

    def close(self) -> None:
        """Unmap; if an array still looks at the memory, it is unmapped when that goes."""
        with suppress(BufferError):
            self.memory.release()


class Segments(Protocol):
    """Where segments come from: the store's client, or local_segments.LocalSegments."""

    async def obtain(
        self,
        name: str,
        make: Callable[[], Made],
        *,
        layout: PoolLayout | None = None,
        mapper: "Mapper | None" = None,
    ) -> Segment:
        """The published segment of that name, mapped; if there is none, the one make() returns, published.

        make runs once in the whole stack, in a thread; others wait. It may obtain segments of other names. mapper: of
        a segment that is not where the engine computes. Raises LayoutMismatch when the published pool has another
        layout.
        """


class Mapper(Protocol):
    """Turns descriptors into memory; memfd.MemfdMapper is the CPU's, cuda.segments.CudaMapper the GPU's."""

    def seal(self, fd: int, *, writable: bool) -> None:
        """Called once, before publication: nobody can resize it, nor write to it unless writable."""

    def map(self, fd: int, size_bytes: int, *, writable: bool) -> Mapped:
        """The memory behind fd; fd may be closed afterwards."""
