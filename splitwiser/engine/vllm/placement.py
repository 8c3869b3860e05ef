"""Owns which parameter lies where: in which segment of the weights, at which offset."""

from collections.abc import Mapping
from typing import Any

import torch

WEIGHTS = "weights"
"""The segment in the memory that the engine computes on."""
ON_HOST = "weights-host"
"""The segment in this machine's memory."""
_ALIGNMENT_BYTES = 256

Entries = dict[str, dict[str, Any]]
"""By parameter name: segment, offset in bytes, shape, and torch's name of the dtype. Tied parameters have one place."""


def place(parameters: Mapping[str, torch.nn.Parameter], host_bytes: int = 0) -> tuple[Entries, dict[str, int]]:
    """Every parameter's place, and the segments' sizes. At least host_bytes are on the host, if there are so many."""
    chosen = _choose(parameters, host_bytes)
    entries: Entries = {}
    places: dict[int, dict[str, Any]] = {}
    sizes = {WEIGHTS: 0, ON_HOST: 0}
    for name, parameter in parameters.items():
        segment = ON_HOST if id(parameter) in chosen else WEIGHTS
        if id(parameter) not in places:
            places[id(parameter)] = {"segment": segment, "offset": sizes[segment]}
            sizes[segment] += -(-parameter.nbytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        dtype = str(parameter.dtype).removeprefix("torch.")
        entries[name] = {**places[id(parameter)], "shape": list(parameter.shape), "dtype": dtype}
    # Memory of no size cannot be mapped.
    return entries, {**sizes, WEIGHTS: sizes[WEIGHTS] or _ALIGNMENT_BYTES}


def view(contents: Mapping[str, torch.Tensor], entry: Mapping[str, Any]) -> torch.Tensor:
    """A parameter's part of its segment's bytes."""
    dtype, shape, offset = getattr(torch, entry["dtype"]), torch.Size(entry["shape"]), entry["offset"]
    part = contents[entry["segment"]][offset : offset + shape.numel() * dtype.itemsize]
    return part.view(dtype).view(shape)


def _choose(parameters: Mapping[str, torch.nn.Parameter], host_bytes: int) -> frozenset[int]:
    """The ids of those that are kept on the host: in the model's order, as vLLM does it, until they are host_bytes.

    An embedding table comes first in a model, and costs least: a step reads one row a token of it. A tied one and all
    other matrices are read whole by every step, so among them no order takes less of the bus. Vectors come last: they
    make little room, and for each of them a kernel would wait for the bus.
    """
    chosen: set[int] = set()
    left_bytes = host_bytes
    for parameter in sorted(parameters.values(), key=lambda parameter: parameter.dim() < 2):
        if left_bytes <= 0:
            break
        if id(parameter) not in chosen:
            chosen.add(id(parameter))
            left_bytes -= parameter.nbytes
    return frozenset(chosen)
