"""Owns the tensors over the KV pool: for each layer a view of its keys and one of its values."""

from dataclasses import dataclass

import torch

from splitwiser.engine.transformers.numerics import torch_dtype
from splitwiser.kv.layout import PoolLayout


@dataclass(frozen=True, slots=True)
class LayerPool:
    """One layer's part of the pool. keys: [pages, page_tokens, kv_heads, key_dim]; values likewise with value_dim."""

    keys: torch.Tensor
    values: torch.Tensor

    def write(self, slots: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        """Put key and value, [1, kv_heads, tokens, dim], where slots, [tokens], say: page * page_tokens + offset."""
        self.keys.flatten(0, 1).index_copy_(0, slots, key[0].transpose(0, 1))
        self.values.flatten(0, 1).index_copy_(0, slots, value[0].transpose(0, 1))

    def read(self, pages: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Copies of the pages' keys and values in that order, each [1, kv_heads, pages * page_tokens, dim]."""
        keys, values = self.keys.index_select(0, pages), self.values.index_select(0, pages)
        return keys.flatten(0, 1).transpose(0, 1)[None], values.flatten(0, 1).transpose(0, 1)[None]


def pool_elements(layout: PoolLayout, content: torch.Tensor) -> torch.Tensor:
    """The pool's bytes, [layout.pool_bytes], as one row of numbers."""
    return content[: layout.pool_bytes].view(torch_dtype(layout.dtype))


def map_pool(layout: PoolLayout, elements: torch.Tensor) -> tuple[LayerPool, ...]:
    """Views of the pool's elements, in the order "layer,kv,page,token,head,dim"."""
    assert layout.order == "layer,kv,page,token,head,dim", layout.order
    shapes = [
        torch.Size((layout.pages, layout.page_tokens, layer.kv_heads, dim))
        for layer in layout.layers
        for dim in (layer.key_dim, layer.value_dim)
    ]
    parts = elements.split([shape.numel() for shape in shapes])
    views = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
    return tuple(LayerPool(keys, values) for keys, values in zip(views[::2], views[1::2], strict=True))
