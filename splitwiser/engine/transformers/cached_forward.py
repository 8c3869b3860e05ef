"""Owns a forward pass through the library's cache interface, span by span, for models that attend by themselves."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from splitwiser.engine.transformers.plan import Span, Step, plan
from splitwiser.engine.transformers.pool import LayerPool

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PagedCacheLayer(CacheLayerMixin):
    """One layer of one span's sequence: update writes to the pages and hands all of them back."""

    is_sliding = False

    def __init__(self, pool: LayerPool, step: Step) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._pool = pool
        self._step = step
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing: the pool is there."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """key_states, value_states: [1, kv_heads, rows, dim]. Returns those of the sequence from its start on."""
        self._pool.write(self._step.slots, key_states, value_states)
        keys, values = self._pool.read(self._step.pages)
        end = self._step.spans[0].end
        return keys[:, :, :end], values[:, :, :end]

    def get_seq_length(self) -> int:
        """Tokens before this step."""
        return self._step.spans[0].start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Keys that update returns, and the first one's position."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """As many as there are pages: no bound that the model should know."""
        return -1


class CachedModel:
    """A model that takes one sequence and a cache."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model = model
        self._known = inspect.signature(model.forward).parameters

    def logits(self, token_ids: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Logits of the last row, [1, vocabulary]. token_ids, positions: [1, rows] of one sequence."""
        seen = torch.ones(1, int(positions[0, -1]) + 1, dtype=torch.long, device=positions.device)
        inputs = {"position_ids": positions, "attention_mask": seen}
        inputs = {name: tensor for name, tensor in inputs.items() if name in self._known}
        logits: torch.Tensor
        logits = self._model(input_ids=token_ids, past_key_values=cache, use_cache=True, **inputs).logits[0, -1:]
        return logits


class CachedForward:
    """A Forward through the cache interface."""

    def __init__(self, model: "PreTrainedModel", layers: Sequence[LayerPool], page_tokens: int) -> None:
        self._model = CachedModel(model)
        self._layers = layers
        self._page_tokens = page_tokens
        self._device = layers[0].keys.device

    def __call__(self, spans: Sequence[Span]) -> torch.Tensor:
        logits = [self._last(span) for span in spans]
        return torch.cat([row for span, row in zip(spans, logits, strict=True) if span.completes] or [logits[0][:0]])

    def _last(self, span: Span) -> torch.Tensor:
        step = plan([span], self._page_tokens, self._device)
        cache = Cache(layers=[PagedCacheLayer(pool, step) for pool in self._layers])
        return self._model.logits(step.token_ids, step.positions, cache)
