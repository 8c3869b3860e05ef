"""Owns which models cannot be served, and says why before their weights are loaded."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from splitwiser.errors import StartupError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_LAYER_TYPES = {"full_attention", "sliding_attention", "attention"}
_LENGTH_DEPENDENT_ROPE = {"dynamic", "longrope"}


def refuse_unsupported(config: "PreTrainedConfig") -> None:
    """Raises StartupError for a model whose state is not one key and one value per token and layer."""
    for reason in _reasons(config.get_text_config(decoder=True)):
        raise StartupError(
            f"model type {config.model_type} is not supported: {reason}",
            help="choose a decoder-only model whose layers are all attention, or the sim engine",
        )


def _reasons(config: "PreTrainedConfig") -> Iterator[str]:
    if config.is_encoder_decoder:
        yield "it has an encoder"
    if others := sorted(set(getattr(config, "layer_types", None) or ()) - _LAYER_TYPES):
        yield f"it has layers of type {', '.join(others)}"
    if length_dependent := sorted(_rope_types(config) & _LENGTH_DEPENDENT_ROPE):
        # One request's length would choose the rotation of every other in its batch.
        yield f"its rotary embedding of type {length_dependent[0]} changes with the longest sequence of a batch"


def _rope_types(config: "PreTrainedConfig") -> set[str]:
    parameters: Mapping[str, Any] = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in parameters.values() if isinstance(value, Mapping)]
    return {str(each.get("rope_type", "default")) for each in nested or [parameters]}
