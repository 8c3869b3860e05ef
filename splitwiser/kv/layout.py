"""Owns the shape of the KV pool: what a page holds, how many bytes that is, and the digest both sides compare."""

import hashlib
import json
from dataclasses import asdict, dataclass
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
    def hash(self) -> str:
        """Hex digest of every field: equal digests mean that a page number names the same bytes on both sides."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()
