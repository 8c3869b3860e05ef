"""Owns the way of vLLM's KV cache into the stack's pool: its layout, and the memory that vLLM gets to allocate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, create_kv_cache_views
from vllm.v1.kv_cache_layout import KVCacheLayout

from splitwiser.engine.vllm.blocks import SCRATCH_PAGES
from splitwiser.errors import StartupError
from splitwiser.kv.layout import LayerShape, PoolLayout

_ALLOCATORS = ("vllm.v1.worker.utils", "vllm.v1.worker.gpu_model_runner", "vllm.v1.worker.gpu.attn_utils")
_DIMENSIONS = {"L": "layer", "B": "page", "H": "head", "N": "token", "C": "kv+dim"}


def pool_layout(model: str, config: KVCacheConfig, order: KVCacheLayout) -> PoolLayout:
    """The layout of the cache that vLLM is about to allocate. Raises StartupError for one that cannot be shared."""
    groups = [(group.kv_cache_spec, len(group.layer_names)) for group in config.kv_cache_groups]
    if len(groups) != 1 or type(groups[0][0]) is not FullAttentionSpec:
        kinds = ", ".join(sorted({type(spec).__name__ for spec, _ in groups}))
        raise StartupError(
            f"{model} keeps its state as {kinds}, in {len(groups)} groups",
            help="choose a model whose layers all have full attention, or the transformers engine",
            field="engine.model",
        )
    spec, layers = groups[0]
    layout = PoolLayout(
        model,
        str(spec.dtype).removeprefix("torch."),
        spec.block_size,
        config.num_blocks - SCRATCH_PAGES,
        (LayerShape(spec.num_kv_heads, spec.head_size, spec.head_size_v),) * layers,
        ",".join(_DIMENSIONS[letter] for letter in order.name),
        SCRATCH_PAGES,
    )
    sizes_bytes = {tensor.size for tensor in config.kv_cache_tensors}
    assert sizes_bytes == {layout.pool_bytes}, (sizes_bytes, layout)
    return layout


@contextmanager
def allocations_from(obtain: Callable[[KVCacheConfig, KVCacheLayout], torch.Tensor], blocks: int) -> Iterator[None]:
    """vLLM's cache of that many blocks is what obtain returns, as bytes; smaller ones, for a trial, are its own."""
    modules = [import_module(name) for name in _ALLOCATORS]
    own = modules[0].allocate_kv_cache

    def allocate_kv_cache(
        config: KVCacheConfig, device: Any, order: KVCacheLayout, kernel_block_sizes: list[int] | None = None
    ) -> dict[str, torch.Tensor]:
        if config.num_blocks != blocks:
            allocated: dict[str, torch.Tensor] = own(config, device, order, kernel_block_sizes)
            return allocated
        return _views(obtain(config, order), config, order, kernel_block_sizes)

    for module in modules:
        module.allocate_kv_cache = allocate_kv_cache  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.allocate_kv_cache = own  # type: ignore[attr-defined]


def _views(
    memory: torch.Tensor, config: KVCacheConfig, order: KVCacheLayout, kernel_block_sizes: list[int] | None
) -> dict[str, torch.Tensor]:
    spec = config.kv_cache_groups[0].kv_cache_spec
    views: dict[str, torch.Tensor] = {}
    for tensor in config.kv_cache_tensors:
        of_layers = create_kv_cache_views(
            memory,
            spec,
            config.num_blocks_of(tensor),
            order,
            tensor,
            kernel_block_size=kernel_block_sizes[0] if kernel_block_sizes else None,
        )
        views.update(zip(tensor.layers, of_layers, strict=True))
    return views
