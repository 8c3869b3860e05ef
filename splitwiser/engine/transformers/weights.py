"""Owns the weights segment: every parameter and buffer of a model, once in memory, whoever computes with them.

The maker copies a loaded model in and forgets it; each worker, the maker too, then gives an empty model views of the
read-only mapping. Tied tensors share one offset.
"""

import ctypes
import gc
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING

import torch

from splitwiser.engine.memory import HOST, Memory
from splitwiser.engine.transformers.numerics import torch_dtype
from splitwiser.errors import StartupError
from splitwiser.memory.segment import Made, Segment

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ALIGNMENT = 256
"""Bytes: what CUDA's own allocations are aligned to; more than a cache line or a vector register needs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of the segment. name: as the model's modules nest; offset: in bytes; dtype: a name of torch's."""

    name: str
    offset: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def size_bytes(self) -> int:
        return prod(self.shape) * torch_dtype(self.dtype).itemsize


def make_weights(load: Callable[[], "PreTrainedModel"], identity: str, memory: Memory = HOST) -> Made:
    """Load a model and put its tensors into a new segment. identity: what the segment holds, for whoever maps it."""
    model = load()
    sources = dict(_tensors(model))
    entries, size_bytes = _lay_out(sources)
    manifest = {"identity": identity, "entries": [asdict(entry) for entry in entries]}

    def fill(content: torch.Tensor) -> None:
        for entry in entries:
            _view(content, entry).copy_(sources[entry.name])

    made = memory.make("weights", size_bytes, json.dumps(manifest).encode(), fill)
    del model
    sources.clear()
    _give_memory_back()
    return made


def attach_weights(model: "PreTrainedModel", segment: Segment, identity: str, memory: Memory = HOST) -> None:
    """Give an empty model its tensors: views of the segment. Raises StartupError when it holds another model."""
    manifest, content = json.loads(segment.manifest), memory.tensor(segment)
    if manifest["identity"] != identity:
        raise StartupError(
            f"the store holds the weights of {manifest['identity']}, this worker is to run {identity}",
            help="run all workers with the same settings and versions, or restart the stack",
        )
    for fields in manifest["entries"]:
        entry = Entry(**fields | {"shape": tuple(fields["shape"])})
        _assign(model, entry.name, _view(content, entry))
    if missing := [name for name, tensor in _tensors(model) if tensor.is_meta]:
        raise StartupError(f"the segment lacks {', '.join(missing[:3])}", help="restart the stack")


def _tensors(model: "PreTrainedModel") -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters, buffers, and tensors held as plain attributes. A tied one comes under each of its names."""
    for prefix, module in model.named_modules(remove_duplicate=False):
        dot = f"{prefix}." if prefix else ""
        for held in (module._parameters, module._buffers, vars(module)):
            for name, tensor in held.items():
                if isinstance(tensor, torch.Tensor):
                    yield dot + name, tensor.detach()


def _lay_out(tensors: dict[str, torch.Tensor]) -> tuple[list[Entry], int]:
    entries, offsets, end = [], dict[tuple[int, torch.Size, tuple[int, ...]], int](), 0
    for name, tensor in tensors.items():
        same = (tensor.data_ptr(), tensor.shape, tensor.stride())
        offset = offsets.get(same, end) if tensor.numel() else 0
        entry = Entry(name, offset, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        if offset == end:
            offsets[same] = offset
            end += -(-entry.size_bytes // _ALIGNMENT) * _ALIGNMENT
        entries.append(entry)
    return entries, end


def _view(content: torch.Tensor, entry: Entry) -> torch.Tensor:
    """content: the segment's bytes."""
    part = content[entry.offset : entry.offset + entry.size_bytes]
    return part.view(torch_dtype(entry.dtype)).view(entry.shape)


def _assign(model: torch.nn.Module, name: str, tensor: torch.Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    if leaf in module._parameters:
        module._parameters[leaf] = torch.nn.Parameter(tensor, requires_grad=False)
    elif leaf in module._buffers:
        module._buffers[leaf] = tensor
    else:
        setattr(module, leaf, tensor)


def _give_memory_back() -> None:
    """To the system: the segment is to be the only copy that is left, seen from outside as well."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
