"""Owns the attention function that the library's models call, and what it is told.

Registered with the library's AttentionInterface under NAME. No mask goes with it, so the models build none: which row
sees which key is the plan's to say.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

NAME = "splitwiser_paged"
KEYWORD = "splitwiser_attend"
"""The keyword of a model's forward that carries an Attend to each of its layers."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a layer wants beyond softmax(QK)V. scaling None is 1/sqrt(key_dim); sinks: [heads]."""

    scaling: float | None = None
    window: int | None = None
    softcap: float | None = None
    sinks: torch.Tensor | None = None

    @property
    def plain(self) -> bool:
        """Whether torch's own kernel knows all of it; the window is the plan's work."""
        return self.softcap is None and self.sinks is None


class Attend(Protocol):
    """Stands behind every attention call of one forward pass."""

    def __call__(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        """query, key, value: [1, heads, rows, dim] of the packed rows. Returns [1, rows, heads, value_dim]."""


def register() -> None:
    """Make NAME known to the library, which asks for it by name."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, paged_attention)


def paged_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    splitwiser_attend: Attend | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    position_bias: torch.Tensor | None = None,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    """The library's signature: keywords by its names. Raises NotImplementedError for what no Attend can do."""
    if splitwiser_attend is None:
        raise NotImplementedError("keywords of its forward do not reach its attention")
    if attention_mask is not None or position_bias is not None:
        raise NotImplementedError("a mask or a position bias of the model's own")
    options = Options(scaling, sliding_window, softcap, s_aux)
    layer = module.layer_idx
    assert isinstance(layer, int), layer
    return splitwiser_attend(layer, query, key, value, options), None
