"""Owns the sim engine's use of the pool: where a token's record lies, writing records and hashing them back."""

import zlib
from collections.abc import Sequence

from splitwiser.engine.sim.model import RECORD_BYTES, kv_record
from splitwiser.kv.host_index import Copies
from splitwiser.kv.layout import LayerShape, PoolLayout


def sim_layout(pages: int, page_tokens: int) -> PoolLayout:
    """One layer of RECORD_BYTES a token, each page in one piece."""
    half = RECORD_BYTES // 2
    layers = (LayerShape(kv_heads=1, key_dim=half, value_dim=half),)
    return PoolLayout("sim", "uint8", page_tokens, pages, layers, order="page,token,layer,kv,head,dim")


class SimPages:
    """The pool, seen as records. buffer: at least layout.pool_bytes, writable."""

    def __init__(self, layout: PoolLayout, buffer: memoryview) -> None:
        self._page_tokens = layout.page_tokens
        self._pages = _cut(buffer[: layout.pool_bytes], layout.page_bytes)
        self._page_bytes = layout.page_bytes

    def copier(self, host: memoryview) -> "SimCopier":
        """Between these pages and those of the host."""
        return SimCopier(self._pages, _cut(host, self._page_bytes))

    def write(self, pages: Sequence[int], start: int, token_ids: Sequence[int]) -> None:
        """Write the records of token_ids at positions from start on."""
        for position, token in enumerate(token_ids, start):
            number, slot = divmod(position, self._page_tokens)
            offset = slot * RECORD_BYTES
            self._pages[pages[number]][offset : offset + RECORD_BYTES] = kv_record(token, position)

    def hash(self, pages: Sequence[int], tokens: int, seed: int) -> int:
        """CRC-32, from seed on, of the first tokens records, read from the pool."""
        whole, rest = divmod(tokens, self._page_tokens)
        parts = [self._pages[page] for page in pages[:whole]]
        if rest:
            parts.append(self._pages[pages[whole]][: rest * RECORD_BYTES])
        return zlib.crc32(b"".join(parts), seed)


def _cut(buffer: memoryview, page_bytes: int) -> list[memoryview]:
    return [buffer[start : start + page_bytes] for start in range(0, len(buffer), page_bytes)]


class SimCopier:
    """A PageCopier."""

    def __init__(self, pages: Sequence[memoryview], host_pages: Sequence[memoryview]) -> None:
        self._pages = pages
        self._host_pages = host_pages

    def save(self, copies: Copies) -> None:
        """Pages to host pages."""
        for page, host_page in zip(copies.pages, copies.host_pages, strict=True):
            self._host_pages[host_page][:] = self._pages[page]

    def load(self, copies: Copies) -> None:
        """Host pages to pages."""
        for page, host_page in zip(copies.pages, copies.host_pages, strict=True):
            self._pages[page][:] = self._host_pages[host_page]
