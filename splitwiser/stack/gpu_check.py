"""Owns the checks of the GPU before a stack starts on it. A check takes no GPU memory and changes nothing."""

from splitwiser.config.schema import Settings
from splitwiser.memory.devices import check_bindings
from splitwiser.mps.control import require_binary
from splitwiser.mps.gpu import check_shareable, read_gpu
from splitwiser.stack.gpu_budget import Budget, budget


def check_gpu(settings: Settings) -> Budget:
    """Raise StartupError for the first thing that would keep both phases from sharing the GPU. May block."""
    gpu = read_gpu()
    check_shareable(gpu, settings.gpu.sharing)
    if settings.gpu.sharing == "mps":
        require_binary()
    check_bindings()
    found = budget(settings, gpu.free_bytes)
    # A GPU whose memory is the machine's tells none: there the allocation itself has the last word.
    if gpu.total_bytes:
        found.check()
    return found
