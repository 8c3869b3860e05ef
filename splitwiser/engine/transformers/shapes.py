"""Owns how a model's KV shapes become known: by running one token, as no configuration tells all."""

import inspect
import sys
from typing import TYPE_CHECKING, cast

import torch

from splitwiser.engine.transformers.attention import Options
from splitwiser.engine.transformers.cached_forward import CachedModel
from splitwiser.engine.transformers.forward import PackedModel
from splitwiser.kv.layout import LayerShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.cache_utils import DynamicLayer


class ShapeRecorder:
    """An Attend that computes nothing and notes what each layer brings."""

    def __init__(self) -> None:
        self.shapes: dict[int, LayerShape] = {}
        self.options: dict[int, Options] = {}

    def __call__(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        self.shapes[layer] = LayerShape(key.shape[1], key.shape[3], value.shape[3])
        self.options[layer] = options
        return query.new_zeros(1, query.shape[2], query.shape[1], value.shape[3])


def packed_shapes(model: "PreTrainedModel") -> tuple[LayerShape, ...]:
    """What each layer gives the attention interface. Raises NotImplementedError when not all of them call it."""
    recorder = ShapeRecorder()
    zero = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    PackedModel(model).logits(zero, zero, zero[0], recorder)
    _check_layers(model, list(recorder.shapes))
    _check_windows(model, recorder.options)
    return tuple(recorder.shapes.values())


def cached_shapes(model: "PreTrainedModel") -> tuple[LayerShape, ...]:
    """What each layer puts into the library's cache. Raises NotImplementedError when not all of them use it."""
    from transformers import DynamicCache

    cache = DynamicCache()
    zero = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    CachedModel(model).logits(zero, zero, cache)
    layers = cast("list[DynamicLayer]", cache.layers)
    shapes = {
        index: LayerShape(layer.keys.shape[1], layer.keys.shape[3], layer.values.shape[3])
        for index, layer in enumerate(layers)
        if layer.keys is not None and layer.values is not None
    }
    _check_layers(model, list(shapes))
    _check_masks(model)
    return tuple(shapes.values())


def _check_layers(model: "PreTrainedModel", seen: list[int]) -> None:
    expected = model.config.get_text_config(decoder=True).num_hidden_layers
    if seen != list(range(expected)):
        raise NotImplementedError(f"{len(seen)} of its {expected} layers keep one key and one value per token")


def _check_windows(model: "PreTrainedModel", options: dict[int, Options]) -> None:
    """A layer that slides must tell its attention call what the library's own cache knows: no mask comes along."""
    for index, window in enumerate(_windows(model)):
        told = options[index].window
        if window != told:
            raise NotImplementedError(f"layer {index} has a window of {window} and asks for one of {told}")


def _check_masks(model: "PreTrainedModel") -> None:
    """A layer that slides must mask what left its window: the pool forgets nothing, the library's own cache does."""
    source = inspect.getsource(sys.modules[type(model).__module__])
    if any(_windows(model)) and "create_sliding_window_causal_mask" not in source:
        raise NotImplementedError("its window is in its cache and not in its mask")


def _windows(model: "PreTrainedModel") -> list[int | None]:
    """Each layer's window, from the library's own cache for this model."""
    from transformers import DynamicCache

    return [getattr(layer, "sliding_window", None) for layer in DynamicCache(config=model.config).layers]
