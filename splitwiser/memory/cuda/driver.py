"""Owns the calls of the CUDA driver: loaded late, every return code read, every failure told with what to do."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from splitwiser.errors import StartupError

_HELP = {
    "CUDA_ERROR_NO_DEVICE": "check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or set engine.device=cpu",
    "CUDA_ERROR_OUT_OF_MEMORY": "free some GPU memory, give a smaller pool.pages, or a smaller model",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "the driver's library and its kernel module differ: restart the machine",
    "CUDA_ERROR_DEVICE_UNAVAILABLE": "the GPU is in an exclusive compute mode and in use: run under MPS",
    "CUDA_ERROR_MPS_CONNECTION_FAILED": "is the MPS daemon this user's? `splitwiser doctor --gpu` looks at it",
}
_ANY_HELP = "`splitwiser doctor --gpu` looks at the GPU, its driver and its MPS daemon"


def load_driver() -> ModuleType:
    """cuda-bindings' driver module, initialised. Raises StartupError when package, library or GPU is missing."""
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise StartupError("CUDA needs cuda-bindings", help="pip install 'splitwiser[gpu]'") from error
    try:
        initialised = driver.cuInit(0)
    except RuntimeError as error:
        raise StartupError(
            "no NVIDIA driver: its library libcuda.so.1 is not there",
            help="install the driver, start the container with GPU access, or set engine.device=cpu",
        ) from error
    module: ModuleType = driver
    checked(module, "start CUDA", initialised)
    return module


def checked(driver: ModuleType, purpose: str, result: Sequence[Any]) -> Any:
    """The values of a driver call. Raises StartupError, with the driver's own name for it, unless it succeeded."""
    code, *values = result
    if code != driver.CUresult.CUDA_SUCCESS:
        raise StartupError(f"cannot {purpose}: {code.name}", help=_HELP.get(code.name, _ANY_HELP))
    return values[0] if len(values) == 1 else tuple(values)
