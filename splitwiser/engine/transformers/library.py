"""Owns how the transformers library is used: quietly, imported late, its errors told as StartupError."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from splitwiser.engine.transformers.numerics import torch_dtype
from splitwiser.engine.transformers.support import refuse_config, refuse_stateful
from splitwiser.errors import StartupError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def read_config(model: str) -> "PreTrainedConfig":
    """The configuration of a Hugging Face id or folder. Raises StartupError when it is missing or cannot be served."""
    from transformers import AutoConfig

    with _told(f"the configuration of {model!r} cannot be read"):
        config: PreTrainedConfig = AutoConfig.from_pretrained(model)
    refuse_config(config)
    return config


def load_model(model: str, dtype: str) -> "PreTrainedModel":
    """The model with weights of its own. dtype: a name of torch's."""
    from transformers import AutoModelForCausalLM

    with _told(f"the weights of {model!r} cannot be loaded"):
        from_pretrained: Callable[..., tuple[PreTrainedModel, dict[str, set[str]]]]
        from_pretrained = AutoModelForCausalLM.from_pretrained  # type: ignore[assignment]
        loaded, report = from_pretrained(model, dtype=torch_dtype(dtype), output_loading_info=True)
        if missing := sorted(report["missing_keys"]):
            # The library fills them with random numbers and goes on.
            raise ValueError(f"the checkpoint lacks {len(missing)} tensors, such as {missing[0]}")
        loaded.eval()
        return loaded


def empty_model(config: "PreTrainedConfig", dtype: str) -> "PreTrainedModel":
    """The model with no weights at all. Raises StartupError when it cannot be served."""
    from transformers import AutoModelForCausalLM

    with _told("the model cannot be built"), torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch_dtype(dtype))
    refuse_stateful(model)
    model.eval()
    return model


def keep_quiet() -> None:
    """No progress bars among a service's logs."""
    from transformers.utils import logging

    logging.disable_progress_bar()


@contextmanager
def _told(cause: str) -> Iterator[None]:
    keep_quiet()
    try:
        yield
    except Exception as error:  # Of any kind: the library runs code and reads formats of many makers.
        raise StartupError(
            f"{cause}: {error}", help="engine.model takes a Hugging Face id, or a folder with config.json and weights"
        ) from error
