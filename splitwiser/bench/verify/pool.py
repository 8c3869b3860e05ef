"""Owns an outsider's view of the KV pool: the running stack's own memory, taken from the store's open files.

Neither the store nor a worker is asked or knows: what is seen here is what they all share.
"""

import json
import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from splitwiser.errors import StartupError
from splitwiser.kv.layout import DTYPE_BYTES, LayerShape, PoolLayout
from splitwiser.memory.memfd import NAME_PREFIX


class PoolBytes(Protocol):
    """The pool's memory, wherever it is."""

    def read(self) -> bytes:
        """A copy of all of it."""

    def fill(self, byte: int) -> None:
        """Overwrite all of it."""


class MappedBytes:
    """Memory that is mapped here."""

    def __init__(self, buffer: mmap.mmap) -> None:
        self._buffer = buffer

    def read(self) -> bytes:
        """As PoolBytes has it."""
        return self._buffer[:]

    def fill(self, byte: int) -> None:
        """As PoolBytes has it."""
        self._buffer[:] = bytes([byte]) * len(self._buffer)


class PoolView:
    """The pool as bytes. Reading it disturbs nobody; filling it is how a test breaks what it must notice."""

    def __init__(self, layout: PoolLayout, memory: PoolBytes) -> None:
        self.layout = layout
        self._memory = memory
        self._filled = bytes(layout.pool_bytes)

    def zero(self) -> None:
        """Overwrite every page with zeros, whoever owns it."""
        self.fill(0)

    def fill(self, byte: int) -> None:
        """Overwrite every page, whoever owns it."""
        self._filled = bytes([byte]) * len(self._filled)
        self._memory.fill(byte)

    def written_pages(self) -> set[int]:
        """Pages of which some byte is not what they were filled with; zeros at the start."""
        now = self._memory.read()
        return {page for page, part in _parts(self.layout) if now[part] != self._filled[part]}


@contextmanager
def pool_view(store_pid: int) -> Iterator[PoolView]:
    """The pool that this store process keeps. Raises StartupError if it has none."""
    layout = read_layout(store_pid)
    with _memfd(store_pid, "pool").open("r+b") as file, mmap.mmap(file.fileno(), 0) as buffer:
        yield PoolView(layout, MappedBytes(buffer))


def read_layout(store_pid: int) -> PoolLayout:
    """The layout of the pool that this store process keeps. Raises StartupError if it has none."""
    manifest = json.loads(_memfd(store_pid, "pool.manifest").read_bytes())
    return PoolLayout(**manifest | {"layers": tuple(LayerShape(**layer) for layer in manifest["layers"])})


def _memfd(pid: int, name: str) -> Path:
    for path in Path(f"/proc/{pid}/fd").iterdir():
        # Connections come and go meanwhile.
        with suppress(FileNotFoundError):
            if str(path.readlink()) == f"/memfd:{NAME_PREFIX}{name} (deleted)":
                return path
    raise StartupError(f"process {pid} keeps no {name}", help="is it the store, and have the workers started?")


def _parts(layout: PoolLayout) -> Iterator[tuple[int, slice]]:
    """Every piece of every page, as the layout's order has it."""
    if layout.order.startswith("page,"):
        sizes = [layout.page_bytes]
    elif layout.order.startswith("layer,page,"):
        token_bytes = layout.page_tokens * DTYPE_BYTES[layout.dtype]
        sizes = [layer.elements_per_token * token_bytes for layer in layout.layers]
    else:
        assert layout.order.startswith("layer,kv,page,"), layout.order
        head_bytes = layout.page_tokens * DTYPE_BYTES[layout.dtype]
        sizes = [s.kv_heads * dim * head_bytes for s in layout.layers for dim in (s.key_dim, s.value_dim)]
    start = 0
    for size in sizes:
        start += layout.scratch_pages * size
        for page in range(layout.pages):
            yield page, slice(start, start + size)
            start += size
