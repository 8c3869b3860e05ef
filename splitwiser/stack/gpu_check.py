"""Owns the checks of the GPU before a stack starts on it. A check takes no GPU memory and changes nothing."""

import importlib.util

from splitwiser.config.schema import Settings
from splitwiser.errors import StartupError
from splitwiser.mps.control import require_binary
from splitwiser.mps.gpu import check_shareable, read_gpu
from splitwiser.stack.gpu_budget import Budget, budget


def check_gpu(settings: Settings) -> Budget:
    """Raise StartupError for the first thing that would keep both phases from sharing the GPU. May block."""
    gpu = read_gpu()
    check_shareable(gpu, settings.gpu.sharing)
    if settings.gpu.sharing == "mps":
        require_binary()
    _check_bindings()
    found = budget(settings, gpu.free_bytes)
    # A GPU whose memory is the machine's tells none: there the allocation itself has the last word.
    if gpu.total_bytes:
        found.check()
    return found


def _check_bindings() -> None:
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        raise StartupError(
            "engine.device=cuda needs cuda-bindings", help="pip install 'splitwiser[gpu]'", field="engine.device"
        )
