"""Owns the way from device memory to torch: the only module of memory that imports it."""

import torch

from splitwiser.memory.cuda.device import NUMBER
from splitwiser.memory.cuda.mapping import CudaMemory


def as_tensor(memory: CudaMemory) -> torch.Tensor:
    """The memory as bytes, [nbytes] uint8, not copied; views of it, in any dtype, keep it mapped."""
    tensor = torch.as_tensor(memory.range, device=torch.device("cuda", NUMBER))
    assert tensor.data_ptr() == memory.range.address, "torch made a copy"
    return tensor
