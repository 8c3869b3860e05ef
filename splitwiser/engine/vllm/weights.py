"""Owns the load format over the stack's one copy of the weights: the first worker publishes it, every one maps it.

Only parameters are shared. A model's buffers are small, and vLLM computes them as it builds the model.
"""

import ctypes
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import vllm._custom_ops as custom_ops
from vllm.config import ModelConfig, VllmConfig
from vllm.config.load import LoadConfig
from vllm.model_executor.model_loader import get_model_loader, register_model_loader
from vllm.model_executor.model_loader.base_loader import BaseModelLoader

from splitwiser.engine.vllm.door import StoreDoor
from splitwiser.engine.vllm.memory import bytes_of
from splitwiser.errors import StartupError
from splitwiser.memory import memfd
from splitwiser.memory.segment import Made, Segment

LOAD_FORMAT = "splitwiser"
_ALIGNMENT_BYTES = 256

Entries = dict[str, dict[str, Any]]
"""By parameter name: offset in bytes, shape, and torch's name of the dtype. Tied parameters have one offset."""


def register_loader(door: StoreDoor, identity: str) -> None:
    """Make vLLM load through the store from now on. identity: what the segment holds, for whoever maps it."""

    class SegmentLoader(BaseModelLoader):
        """Gives each parameter its memory in the segment."""

        def download_model(self, model_config: ModelConfig) -> None:
            pass

        def load_weights(self, model: torch.nn.Module, model_config: ModelConfig) -> None:
            _attach(model, door.weights(lambda: _make(model, model_config, identity)), identity)
            _give_memory_back()

        def load_model(self, vllm_config: VllmConfig, model_config: ModelConfig, prefix: str = "") -> torch.nn.Module:
            with _weights_left_in_place():
                model: torch.nn.Module = super().load_model(vllm_config, model_config, prefix)
                return model

    register_model_loader(LOAD_FORMAT)(SegmentLoader)


def _make(model: torch.nn.Module, model_config: ModelConfig, identity: str) -> Made:
    get_model_loader(LoadConfig(load_format="auto")).load_weights(model, model_config)
    parameters = _parameters(model)
    entries, size_bytes = _lay_out(parameters)

    def fill(memory: memoryview) -> None:
        content = torch.frombuffer(memory, dtype=torch.int8)
        for name, entry in entries.items():
            _view(content, entry).copy_(parameters[name].detach())

    manifest = {"identity": identity, "entries": entries}
    return memfd.make("weights", size_bytes, manifest=json.dumps(manifest).encode(), fill=fill)


def _attach(model: torch.nn.Module, segment: Segment, identity: str) -> None:
    manifest = json.loads(segment.manifest)
    if manifest["identity"] != identity:
        raise StartupError(
            f"the store holds the weights of {manifest['identity']}, this worker is to run {identity}",
            help="run all workers with the same engine settings, or restart the stack",
        )
    entries, content = manifest["entries"], bytes_of(segment)
    for name, parameter in _parameters(model).items():
        if name not in entries:
            raise StartupError(f"the store's weights lack {name}", help="restart the stack")
        parameter.data = _view(content, entries[name])


def _parameters(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """A tied one comes under each of its names."""
    return dict(model.named_parameters(remove_duplicate=False))


def _lay_out(parameters: dict[str, torch.nn.Parameter]) -> tuple[Entries, int]:
    entries: Entries = {}
    offsets: dict[int, int] = {}
    end = 0
    for name, parameter in parameters.items():
        offset = offsets.setdefault(id(parameter), end)
        dtype = str(parameter.dtype).removeprefix("torch.")
        entries[name] = {"offset": offset, "shape": list(parameter.shape), "dtype": dtype}
        if offset == end:
            end += -(-parameter.nbytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
    return entries, end


def _view(content: torch.Tensor, entry: dict[str, Any]) -> torch.Tensor:
    dtype, shape = getattr(torch, entry["dtype"]), torch.Size(entry["shape"])
    part = content[entry["offset"] : entry["offset"] + shape.numel() * dtype.itemsize]
    return part.view(dtype).view(shape)


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
