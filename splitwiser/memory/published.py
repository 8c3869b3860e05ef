"""Owns a published segment: what a maker's memory becomes, and how anybody who has its descriptors maps it."""

import os
from dataclasses import dataclass

from splitwiser.errors import LayoutMismatch, StartupError
from splitwiser.kv.layout import PoolLayout
from splitwiser.memory import memfd
from splitwiser.memory.segment import Made, Mapper, Segment

MAX_MANIFEST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Published:
    """A segment as its keeper has it: two descriptors, opaque, and what is known of them. No hash: it is not a pool."""

    data_fd: int
    manifest_fd: int
    size_bytes: int
    layout_hash: str = ""

    @property
    def fds(self) -> tuple[int, int]:
        """In the order in which they travel."""
        return self.data_fd, self.manifest_fd

    def close(self) -> None:
        """Close both descriptors; mappings stay."""
        for fd in self.fds:
            os.close(fd)


def publish(name: str, made: Made, layout: PoolLayout | None, mapper: Mapper) -> Published:
    """Seal what was made. The result takes made.data_fd over."""
    try:
        mapper.seal(made.data_fd, writable=layout is not None)
        manifest_fd = memfd.from_bytes(f"{name}.manifest", made.manifest)
    except BaseException:
        os.close(made.data_fd)
        raise
    return Published(made.data_fd, manifest_fd, made.size_bytes, layout.hash if layout else "")


def open_segment(name: str, published: Published, layout: PoolLayout | None, mapper: Mapper) -> Segment:
    """Map it; the descriptors stay published's. Raises LayoutMismatch when it is not a pool of this layout."""
    wanted = layout.hash if layout else ""
    if published.layout_hash != wanted:
        raise LayoutMismatch(
            f"segment {name} has layout {published.layout_hash or 'none'}, this worker has {wanted or 'none'}",
            help="run all workers with the same engine, model and pool settings, or restart the stack",
        )
    size_bytes = os.fstat(published.manifest_fd).st_size
    if size_bytes > MAX_MANIFEST_BYTES:
        raise StartupError(f"segment {name} has a manifest of {size_bytes} bytes", help="restart the stack")
    manifest = os.pread(published.manifest_fd, size_bytes, 0)
    memory = mapper.map(published.data_fd, published.size_bytes, writable=layout is not None)
    return Segment(name, memory, manifest)
