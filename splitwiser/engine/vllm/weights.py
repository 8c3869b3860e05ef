"""Owns the load format over the stack's one copy of the weights: the first worker publishes it, every one maps it.

Only parameters are shared. A model's buffers are small, and vLLM computes them as it builds the model.
"""

import ctypes
import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import vllm._custom_ops as custom_ops
from vllm.config import ModelConfig, VllmConfig
from vllm.config.load import LoadConfig
from vllm.model_executor.model_loader import get_model_loader, register_model_loader
from vllm.model_executor.model_loader.base_loader import BaseModelLoader

from splitwiser.engine.memory import Memory
from splitwiser.engine.vllm.door import StoreDoor
from splitwiser.engine.vllm.empty_tensors import EmptyTensors, takes_no_memory
from splitwiser.errors import StartupError
from splitwiser.memory.segment import Made, Segment

LOAD_FORMAT = "splitwiser"
_ALIGNMENT_BYTES = 256

Entries = dict[str, dict[str, Any]]
"""By parameter name: offset in bytes, shape, and torch's name of the dtype. Tied parameters have one offset."""


def register_loader(door: StoreDoor, memory: Memory, identity: str) -> None:
    """Make vLLM load through the store from now on. identity: what the segment holds, for whoever maps it."""

    class SegmentLoader(BaseModelLoader):
        """Gives each parameter its memory in the segment; the model is built without any of its own."""

        def download_model(self, model_config: ModelConfig) -> None:
            pass

        def load_weights(self, model: torch.nn.Module, model_config: ModelConfig) -> None:
            self._empty_tensors.stop()
            _allocate_buffers(model)
            segment = door.weights(lambda: _make(model, model_config, identity, memory))
            _attach(model, segment, identity, memory)
            _give_memory_back()

        def load_model(self, vllm_config: VllmConfig, model_config: ModelConfig, prefix: str = "") -> torch.nn.Module:
            self._empty_tensors = EmptyTensors()
            with _weights_left_in_place(), self._empty_tensors:
                model: torch.nn.Module = super().load_model(vllm_config, model_config, prefix)
                return model

    register_model_loader(LOAD_FORMAT)(SegmentLoader)


def _make(model: torch.nn.Module, model_config: ModelConfig, identity: str, memory: Memory) -> Made:
    parameters = _parameters(model)
    entries, size_bytes = _lay_out(parameters)
    failures: list[Exception] = []

    def fill(content: torch.Tensor) -> None:
        try:
            _point(parameters, entries, content)
            get_model_loader(LoadConfig(load_format="auto")).load_weights(model, model_config)
            _check_in_place(parameters, entries, content)
        except Exception as error:
            # Its traceback would keep the memory that fill may not keep.
            failures.append(error.with_traceback(None))
        finally:
            for parameter in parameters.values():
                parameter.data = parameter.data.new_empty(0)

    manifest = {"identity": identity, "entries": entries}
    made = memory.make("weights", size_bytes, json.dumps(manifest).encode(), fill)
    if failures:
        os.close(made.data_fd)
        raise failures[0]
    return made


def _point(parameters: dict[str, torch.nn.Parameter], entries: Entries, content: torch.Tensor) -> None:
    for name, parameter in parameters.items():
        parameter.data = _view(content, entries[name])


def _check_in_place(parameters: dict[str, torch.nn.Parameter], entries: Entries, content: torch.Tensor) -> None:
    """A loader may give a parameter memory of its own instead of writing into the one it has."""
    for name, parameter in parameters.items():
        view = _view(content, entries[name])
        if parameter.data_ptr() != view.data_ptr():
            view.copy_(parameter.data)


def _attach(model: torch.nn.Module, segment: Segment, identity: str, memory: Memory) -> None:
    manifest = json.loads(segment.manifest)
    if manifest["identity"] != identity:
        raise StartupError(
            f"the store holds the weights of {manifest['identity']}, this worker is to run {identity}",
            help="run all workers with the same settings and versions, or restart the stack",
        )
    entries, parameters = manifest["entries"], _parameters(model)
    for name in parameters:
        if name not in entries:
            raise StartupError(f"the store's weights lack {name}", help="restart the stack")
    _point(parameters, entries, memory.tensor(segment))


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
