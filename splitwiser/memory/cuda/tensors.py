"""Owns the way from device memory to torch: the only module of memory that imports it."""

import torch

from splitwiser.memory.cuda.device import NUMBER
from splitwiser.memory.cuda.mapping import CudaMemory, Range


def as_tensor(memory: CudaMemory) -> torch.Tensor:
    """The memory as bytes, [nbytes] uint8, not copied; views of it, in any dtype, keep it mapped."""
    return tensor_over(memory.range)


def tensor_over(range_: Range) -> torch.Tensor:
    """The range as bytes, [size_bytes] uint8, not copied; views of it, in any dtype, keep it."""
    tensor = torch.as_tensor(range_, device=torch.device("cuda", NUMBER))
    assert tensor.data_ptr() == range_.address, "torch made a copy"
    return tensor
