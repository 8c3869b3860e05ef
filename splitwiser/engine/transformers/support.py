"""Owns which models cannot be served, and says why before their weights are loaded."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from splitwiser.errors import StartupError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_LAYER_TYPES = {"full_attention", "sliding_attention", "attention"}
_LENGTH_DEPENDENT_ROPE = {"dynamic", "longrope"}


def refuse_config(config: "PreTrainedConfig") -> None:
    """Raises StartupError for a model whose configuration says that pages cannot hold its state."""
    for reason in _reasons(config.get_text_config(decoder=True)):
        raise unsupported(config.model_type, reason)


def refuse_stateful(model: "PreTrainedModel") -> None:
    """Raises StartupError for a model that the library knows to carry a state besides its keys and values."""
    if model._is_stateful:
        raise unsupported(model.config.model_type, "it carries a state from token to token")


def unsupported(model_type: str, reason: str) -> StartupError:
    """The error for a model that pages cannot serve."""
    return StartupError(
        f"model type {model_type} is not supported: {reason}",
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
