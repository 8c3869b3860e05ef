"""Owns the choice of how a model reaches the pool: through the library's attention interface, or else its cache.

The attention interface runs all spans of a step at once. The cache interface runs them one after the other, which any
model bears that keeps one key and one value for each layer and token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from splitwiser.engine.transformers import self_check
from splitwiser.engine.transformers.attention import NAME, register
from splitwiser.engine.transformers.cached_forward import CachedForward
from splitwiser.engine.transformers.forward import Forward, PackedForward
from splitwiser.engine.transformers.pool import LayerPool, map_pool
from splitwiser.engine.transformers.shapes import cached_shapes, packed_shapes
from splitwiser.engine.transformers.support import unsupported
from splitwiser.kv.layout import LayerShape, PoolLayout

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Interface:
    """A model that is proven to work over pages. kind: "attention" or "cache"."""

    kind: str
    shapes: tuple[LayerShape, ...]
    forward: Callable[[Sequence[LayerPool], int], Forward]


@torch.inference_mode()
def choose_interface(model: "PreTrainedModel") -> Interface:
    """The first interface that passes self_check. Raises StartupError when neither does."""
    through_cache = partial(_through_cache, attention=model.config._attn_implementation)
    reasons = []
    for kind, attempt in (("attention", _through_attention), ("cache", through_cache)):
        try:
            return attempt(model)
        except Exception as error:  # Whatever an unknown model raises when it is run in another way.
            reasons.append(f"{kind} interface: {error}")
    raise unsupported(model.config.model_type, f"it does not run over pages ({'; '.join(reasons)})")


def _through_attention(model: "PreTrainedModel") -> Interface:
    if not model._can_set_attn_implementation():
        raise NotImplementedError("its attention is its own")
    # Of the library's ways to attend the one that knows every option: the others leave some out.
    model.set_attn_implementation("eager")
    native = self_check.native_logits(model)
    register()
    model.set_attn_implementation(NAME)
    return _proven(model, native, Interface("attention", packed_shapes(model), partial(PackedForward, model)))


def _through_cache(model: "PreTrainedModel", attention: str) -> Interface:
    if model._can_set_attn_implementation():
        model.set_attn_implementation(attention)
    native = self_check.native_logits(model)
    return _proven(model, native, Interface("cache", cached_shapes(model), partial(CachedForward, model)))


def _proven(model: "PreTrainedModel", native: torch.Tensor, interface: Interface) -> Interface:
    dtype = str(model.dtype).removeprefix("torch.")
    layout = PoolLayout("self check", dtype, self_check.PAGE_TOKENS, self_check.PAGES, interface.shapes)
    # Filled with NaN: a key that no row may see must not count, whatever an earlier owner left there.
    scratch = torch.full(
        (layout.pool_bytes // model.dtype.itemsize,), torch.nan, dtype=model.dtype, device=model.device
    )
    forward = interface.forward(map_pool(layout, scratch), layout.page_tokens)
    self_check.check(native, self_check.paged_logits(model, forward))
    return interface
