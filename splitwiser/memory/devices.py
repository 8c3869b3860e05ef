"""Owns which Mapper a device's memory needs."""

from splitwiser.memory.memfd import MemfdMapper
from splitwiser.memory.segment import Mapper


def mapper_of(device: str) -> Mapper:
    """The Mapper of "cpu" or "cuda". Loads nothing of CUDA before something is mapped."""
    if device == "cuda":
        from splitwiser.memory.cuda.segments import CudaMapper

        return CudaMapper()
    return MemfdMapper()
