"""Owns which Mapper a device's memory needs, and whether it is installed."""

import importlib.util

from splitwiser.errors import StartupError
from splitwiser.memory.memfd import MemfdMapper
from splitwiser.memory.segment import Mapper


def mapper_of(device: str) -> Mapper:
    """The Mapper of "cpu" or "cuda". Loads nothing of CUDA before something is mapped. May raise StartupError."""
    if device == "cuda":
        check_bindings()
        from splitwiser.memory.cuda.segments import CudaMapper

        return CudaMapper()
    return MemfdMapper()


def check_bindings() -> None:
    """Raise StartupError when memory of a GPU cannot be spoken of here."""
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        raise StartupError(
            "engine.device=cuda needs cuda-bindings", help="pip install 'splitwiser[gpu]'", field="engine.device"
        )
