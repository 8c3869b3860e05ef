"""Owns building a model without memory for its weights: a GPU need not hold them twice, not even for a moment."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_LARGE_BYTES = 1 << 20


class EmptyTensors(TorchFunctionMode):
    """While it is entered and not stopped, torch.empty makes large tensors of one element that is seen as many."""

    def __init__(self) -> None:
        super().__init__()
        self._stopped = False

    def stop(self) -> None:
        """Make tensors as ever from now on."""
        self._stopped = True

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        first = args[0] if args else kwargs.get("tensor")
        if _writes(func) and isinstance(first, torch.Tensor) and is_one_element(first) and not self._stopped:
            # An initial value, which the weights will overwrite.
            return first
        if func is not torch.empty or self._stopped or kwargs.get("out") is not None or kwargs.get("pin_memory"):
            return func(*args, **kwargs)
        wanted = torch.empty(*args, **kwargs | {"device": "meta"})
        if wanted.nbytes < _LARGE_BYTES:
            return func(*args, **kwargs)
        return torch.empty((), dtype=wanted.dtype, device=kwargs.get("device")).expand(wanted.shape)


def takes_no_memory(tensor: torch.Tensor) -> bool:
    """Whether EmptyTensors made it."""
    return tensor.nbytes >= _LARGE_BYTES and is_one_element(tensor)


def is_one_element(tensor: torch.Tensor) -> bool:
    """Whether it is one element that is seen as many."""
    return tensor.numel() > 1 and not any(tensor.stride())


def _writes(func: Callable[..., Any]) -> bool:
    """Whether it is a function of torch's that changes its first argument."""
    name = getattr(func, "__name__", "")
    return name.endswith("_") and not name.endswith("__")
