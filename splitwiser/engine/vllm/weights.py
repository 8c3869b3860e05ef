"""Owns vLLM's load format over the stack's one copy of the weights.

Only parameters are shared. A model's buffers are small, and vLLM computes them as it builds the model.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import vllm._custom_ops as custom_ops
from vllm.config import ModelConfig, VllmConfig
from vllm.config.load import LoadConfig
from vllm.model_executor.model_loader import get_model_loader, register_model_loader
from vllm.model_executor.model_loader.base_loader import BaseModelLoader

from splitwiser.engine.vllm.empty_tensors import EmptyTensors, takes_no_memory
from splitwiser.engine.vllm.parameters import SharedParameters

LOAD_FORMAT = "splitwiser"


def register_loader(shared: SharedParameters) -> None:
    """Make vLLM load through the store from now on."""

    class SegmentLoader(BaseModelLoader):
        """Gives each parameter its memory in a segment; the model is built without any of its own."""

        def download_model(self, model_config: ModelConfig) -> None:
            pass

        def load_weights(self, model: torch.nn.Module, model_config: ModelConfig) -> None:
            self._empty_tensors.stop()
            _allocate_buffers(model)
            loader = get_model_loader(LoadConfig(load_format="auto"))
            shared.give(model, lambda: loader.load_weights(model, model_config))
            _give_memory_back()

        def load_model(self, vllm_config: VllmConfig, model_config: ModelConfig, prefix: str = "") -> torch.nn.Module:
            self._empty_tensors = EmptyTensors()
            with _weights_left_in_place(), self._empty_tensors:
                model: torch.nn.Module = super().load_model(vllm_config, model_config, prefix)
                return model

    register_model_loader(LOAD_FORMAT)(SegmentLoader)


def _allocate_buffers(model: torch.nn.Module) -> None:
    """Of what was built without memory, only parameters get it from the segment."""
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if takes_no_memory(buffer):
                setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device=buffer.device))


def _give_memory_back() -> None:
    """To the system: the segment is to be the only copy that is left, seen from outside as well."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@contextmanager
def _weights_left_in_place() -> Iterator[None]:
    """On a CPU, vLLM would copy each matrix into oneDNN's format: a copy of the weights for each worker."""
    supported = custom_ops._supports_onednn
    custom_ops._supports_onednn = False
    try:
        yield
    finally:
        custom_ops._supports_onednn = supported
