"""Owns the shape of the KV pool: what a page holds, how many bytes that is, and the digest both sides compare."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property

DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "uint8": 1}


@dataclass(frozen=True, slots=True)
class LayerShape:
    """KV of one layer and one token: key_dim and value_dim elements for each of kv_heads heads."""

    kv_heads: int
    key_dim: int
    value_dim: int

    @property
    def elements_per_token(self) -> int:
        return self.kv_heads * (self.key_dim + self.value_dim)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of every page: page p has page_bytes of its own at offset_bytes + p * page_bytes of the pool."""

    offset_bytes: int
    page_bytes: int


@dataclass(frozen=True)
class PoolLayout:
    """The pool's contract. order names the nesting of its dimensions, outermost first.

    scratch_pages lie before page 0: they are nobody's, and what is in them means nothing.
    """

    model: str
    dtype: str
    page_tokens: int
    pages: int
    layers: tuple[LayerShape, ...]
    order: str = "layer,kv,page,token,head,dim"
    scratch_pages: int = 0

    @property
    def page_bytes(self) -> int:
        """Bytes that one page takes over all layers."""
        elements = sum(layer.elements_per_token for layer in self.layers)
        return elements * self.page_tokens * DTYPE_BYTES[self.dtype]

    @property
    def pool_bytes(self) -> int:
        return self.page_bytes * (self.scratch_pages + self.pages)

    def pages_for(self, tokens: int) -> int:
        """Pages that hold this many tokens, the last one perhaps in part."""
        return -(-tokens // self.page_tokens)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Where a page lies, in the order of the pool: one part for each choice of the dimensions outside "page"."""
        parts, end_bytes = list[Part](), 0
        for elements in self._part_elements():
            size_bytes = elements * self.page_tokens * DTYPE_BYTES[self.dtype]
            parts.append(Part(end_bytes + self.scratch_pages * size_bytes, size_bytes))
            end_bytes += (self.scratch_pages + self.pages) * size_bytes
        return tuple(parts)

    def _part_elements(self) -> Iterator[int]:
        """Elements of one token in each part."""
        outer = self.order.split(",")[: self.order.split(",").index("page")]
        assert outer == [name for name in ("layer", "kv", "head") if name in outer], self.order
        for layers in [(layer,) for layer in self.layers] if "layer" in outer else [self.layers]:
            keys = sum(layer.kv_heads * layer.key_dim for layer in layers)
            values = sum(layer.kv_heads * layer.value_dim for layer in layers)
            heads = layers[0].kv_heads if "head" in outer else 1
            for elements in (keys, values) if "kv" in outer else (keys + values,):
                yield from [elements // heads] * heads

    def on_host(self, pages: int) -> "PoolLayout":
        """The layout of as many host pages: each has all parts of a page of this pool, one after the other."""
        return replace(self, pages=pages, scratch_pages=0, order=f"page,parts of {self.order}")

    @cached_property
    def hash(self) -> str:
        """Hex digest of every field: equal digests mean that a page number names the same bytes on both sides."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()
