"""Owns the sum of what a stack takes of the GPU's memory, before anything is loaded: weights, pool and work.

And of this machine's memory, what engine.weight_offload_gib and pool.host_pages keep there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from splitwiser.config.schema import Settings
from splitwiser.errors import StartupError
from splitwiser.kv.layout import DTYPE_BYTES
from splitwiser.memory.machine import available_bytes
from splitwiser.text.model_files import ModelFiles
from splitwiser.text.weight_headers import weight_shapes

WORKING_BYTES = {"transformers": 3 * 2**30, "vllm": 4 * 2**30}
"""By engine: CUDA contexts, libraries' workspaces, CUDA graphs and activations of both phases together."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What is needed and what is there. weights or pool 0: not known before the model is loaded.

    host_bytes: weights on the host, which weights_bytes are not. host_pages_bytes: copies of evicted pages there.
    """

    weights_bytes: int
    pool_bytes: int
    working_bytes: int
    free_bytes: int
    host_bytes: int = 0
    host_pages_bytes: int = 0
    host_free_bytes: int = 0

    @property
    def needed_bytes(self) -> int:
        return self.weights_bytes + self.pool_bytes + self.working_bytes

    @property
    def host_needed_bytes(self) -> int:
        return self.host_bytes + self.host_pages_bytes

    def __str__(self) -> str:
        on_gpu = (
            f"GPU memory: weights {_gib(self.weights_bytes)} + pool {_gib(self.pool_bytes)} + work "
            f"{_gib(self.working_bytes)} = {_gib(self.needed_bytes)} GiB of {_gib(self.free_bytes)} GiB free"
        )
        on_host = (
            f"; host memory: weights {_gib(self.host_bytes)} + pages {_gib(self.host_pages_bytes)} = "
            f"{_gib(self.host_needed_bytes)} GiB of {_gib(self.host_free_bytes)} GiB free"
        )
        return on_gpu + on_host if self.host_needed_bytes else on_gpu

    def check(self) -> None:
        """Raise StartupError when it does not fit."""
        if self.needed_bytes > self.free_bytes:
            raise StartupError(
                str(self),
                help="stop what else runs on the GPU (nvidia-smi lists it), give a smaller pool.pages or a smaller "
                "model, set engine.dtype=bfloat16, or with the vllm engine a larger engine.weight_offload_gib",
                field="engine.device",
            )
        if self.host_needed_bytes > self.host_free_bytes:
            raise StartupError(
                str(self),
                help="stop what else runs here, or set a smaller engine.weight_offload_gib or pool.host_pages",
                field="engine.weight_offload_gib" if self.host_bytes > self.host_pages_bytes else "pool.host_pages",
            )


def budget(settings: Settings, free_bytes: int) -> Budget:
    """The sum for these settings, by the headers of the model's files. May ask the hub for its configuration."""
    files = ModelFiles(settings.engine.model)
    elements = sum(prod(shape) for shape in weight_shapes(files).values())
    item_bytes = DTYPE_BYTES[settings.engine.dtype]
    config = files.read_json(files.require("config.json"))
    page_bytes = (
        settings.pool.page_tokens * _elements_per_token(config | (config.get("text_config") or {})) * item_bytes
    )
    weights_bytes = elements * item_bytes
    host_bytes = min(weights_bytes, int(settings.engine.weight_offload_gib * 2**30))
    return Budget(
        weights_bytes - host_bytes,
        settings.pool.pages * page_bytes,
        WORKING_BYTES[settings.engine.kind],
        free_bytes,
        host_bytes,
        settings.pool.host_pages * page_bytes,
        available_bytes(),
    )


def _elements_per_token(config: Mapping[str, Any]) -> int:
    """Of keys and values in all layers, by the names that most configurations use; 0 for others."""
    heads = config.get("num_attention_heads")
    kv_heads = config.get("num_key_value_heads") or heads
    layers, hidden = config.get("num_hidden_layers"), config.get("hidden_size")
    if not (heads and kv_heads and layers and hidden):
        return 0
    return int(2 * layers * kv_heads * (config.get("head_dim") or hidden // heads))


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f}"
