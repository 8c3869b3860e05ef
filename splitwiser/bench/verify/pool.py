"""Owns an outsider's view of the KV pool: the running stack's own memory, mapped beside its workers."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from splitwiser.kv.layout import DTYPE_BYTES, LayerShape, PoolLayout
from splitwiser.memory.segment import Made, Segment
from splitwiser.store.client import StoreClient


class PoolView:
    """The pool as bytes. Reading it disturbs nobody; zero() is how a test breaks what verification must notice."""

    def __init__(self, segment: Segment) -> None:
        fields = json.loads(segment.manifest)
        self.layout = PoolLayout(**fields | {"layers": tuple(LayerShape(**layer) for layer in fields["layers"])})
        self._buffer = segment.buffer
        self._zeros = bytes(segment.size_bytes)

    def zero(self) -> None:
        """Overwrite every page, whoever owns it."""
        self._buffer[:] = self._zeros

    def written_pages(self) -> set[int]:
        """Pages of which some byte is not zero."""
        now = bytes(self._buffer)
        return {page for page, part in _parts(self.layout) if now[part] != self._zeros[part]}


@asynccontextmanager
async def pool_view(socket: Path) -> AsyncIterator[PoolView]:
    """The pool of the stack whose store listens at socket."""
    client = await StoreClient.connect(socket, "observer", "verify", beat_s=1.0)
    try:
        segment = await client.obtain("pool", _never)
        yield PoolView(segment)
        segment.close()
    finally:
        await client.close()


def _never() -> Made:
    raise AssertionError("the stack is ready, so its pool is published")


def _parts(layout: PoolLayout) -> Iterator[tuple[int, slice]]:
    """Every piece of every page, as the layout's order has it."""
    if layout.order.startswith("page,"):
        sizes = [layout.page_bytes]
    else:
        assert layout.order.startswith("layer,kv,page,"), layout.order
        head_bytes = layout.page_tokens * DTYPE_BYTES[layout.dtype]
        sizes = [s.kv_heads * dim * head_bytes for s in layout.layers for dim in (s.key_dim, s.value_dim)]
    start = 0
    for size in sizes:
        for page in range(layout.pages):
            yield page, slice(start, start + size)
            start += size
