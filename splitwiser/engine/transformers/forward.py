"""Owns a forward pass through the library's attention interface: all spans in one packed row of tokens."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from splitwiser.engine.transformers.attend import PagedAttend
from splitwiser.engine.transformers.attention import KEYWORD, Attend
from splitwiser.engine.transformers.plan import Span, plan
from splitwiser.engine.transformers.pool import LayerPool

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Forward(Protocol):
    """The model over the pool."""

    def __call__(self, spans: Sequence[Span]) -> torch.Tensor:
        """Write the KV of every span's tokens; return logits, [spans that complete, vocabulary]."""


class PackedModel:
    """A model that takes the tokens of many sequences as one packed row."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model = model
        self._cuts = "logits_to_keep" in inspect.signature(model.forward).parameters

    def logits(
        self, token_ids: torch.Tensor, positions: torch.Tensor, kept: torch.Tensor, attend: Attend
    ) -> torch.Tensor:
        """Logits of the rows kept, [rows kept, vocabulary]. token_ids, positions: [1, rows]."""
        inputs = {"input_ids": token_ids, "position_ids": positions, "use_cache": False, KEYWORD: attend}
        if self._cuts:
            inputs["logits_to_keep"] = kept
        logits: torch.Tensor = self._model(**inputs).logits[0]
        return logits if self._cuts else logits[kept]


class PackedForward:
    """A Forward through the attention interface."""

    def __init__(self, model: "PreTrainedModel", layers: Sequence[LayerPool], page_tokens: int) -> None:
        self._model = PackedModel(model)
        self._layers = layers
        self._page_tokens = page_tokens
        self._device = layers[0].keys.device

    def __call__(self, spans: Sequence[Span]) -> torch.Tensor:
        step = plan(spans, self._page_tokens, self._device)
        ends = torch.tensor(step.rows).cumsum(0) - 1
        kept = ends[[span.completes for span in spans]].to(self._device)
        return self._model.logits(step.token_ids, step.positions, kept, PagedAttend(self._layers, step))
