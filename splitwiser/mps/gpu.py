"""Owns what is known of the GPU without opening it: `nvidia-smi`'s answers. Loads no CUDA and takes no GPU memory."""

import os
import subprocess
from dataclasses import dataclass

from splitwiser.errors import StartupError

TIMEOUT_S = 30.0
_FIELDS = ("index", "uuid", "name", "driver_version", "compute_mode", "mig.mode.current", "memory.total", "memory.free")
_NOT_THERE = (
    "install the NVIDIA driver, or start the container with GPU access (NVIDIA_DRIVER_CAPABILITIES=compute,utility)"
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. compute_mode: Default, Exclusive_Process or Prohibited."""

    index: int
    uuid: str
    name: str
    driver: str
    compute_mode: str
    mig: bool
    total_bytes: int
    free_bytes: int


def read_gpu() -> Gpu:
    """The GPU that a stack uses: the first of CUDA_VISIBLE_DEVICES, by nvidia-smi's number or by UUID.

    Raises StartupError when there is none, or no nvidia-smi to ask.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = visible.split(",")[0].strip() if visible is not None else ""
    if visible is not None and not chosen:
        raise StartupError("CUDA_VISIBLE_DEVICES is empty: no GPU is visible", help="unset it, or name one GPU in it")
    gpus = [_parse(line) for line in _query().splitlines() if line.strip()]
    if not gpus:
        raise StartupError("nvidia-smi lists no GPU", help=_NOT_THERE)
    if chosen.startswith("MIG-"):
        raise _mig(gpus[0].name)
    found = [gpu for gpu in gpus if chosen in ("", str(gpu.index)) or gpu.uuid.startswith(chosen)]
    if not found or (chosen and len(found) > 1):
        there = "; ".join(f"{gpu.index}, {gpu.uuid}" for gpu in gpus)
        which = "of which nvidia-smi lists several" if found else "and nvidia-smi lists no such GPU"
        raise StartupError(f"CUDA_VISIBLE_DEVICES names {chosen}, {which}", help=f"name one of these: {there}")
    return found[0]


def check_shareable(gpu: Gpu, sharing: str) -> None:
    """Raise StartupError for a GPU that two processes cannot share this way."""
    if gpu.mig:
        raise _mig(gpu.name)
    if gpu.compute_mode == "Prohibited":
        raise StartupError(
            f"the compute mode of {gpu.name} is Prohibited", help="ask its administrator for nvidia-smi -c DEFAULT"
        )
    if gpu.compute_mode == "Exclusive_Process" and sharing == "time-slice":
        raise StartupError(
            f"the compute mode of {gpu.name} is Exclusive_Process: without MPS one process alone may use it",
            help="set gpu.sharing=mps, or ask its administrator for nvidia-smi -c DEFAULT",
            field="gpu.sharing",
        )


def _mig(name: str) -> StartupError:
    return StartupError(
        f"{name} is divided by MIG: a part of it cannot be shared by prefill and decode",
        help="use a GPU without MIG (its administrator: nvidia-smi -mig 0), and name it in CUDA_VISIBLE_DEVICES",
    )


def _query() -> str:
    command = ("nvidia-smi", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except FileNotFoundError as error:
        raise StartupError("there is no nvidia-smi, so no NVIDIA driver", help=_NOT_THERE) from error
    except subprocess.TimeoutExpired as error:
        raise StartupError(
            f"nvidia-smi did not answer in {TIMEOUT_S:g} s", help="look at dmesg for Xid errors"
        ) from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise StartupError(f"nvidia-smi failed: {said}", help=_NOT_THERE)
    return done.stdout


def _parse(line: str) -> Gpu:
    index, uuid, name, driver, compute_mode, mig, total, free = (cell.strip() for cell in line.split(","))
    return Gpu(int(index), uuid, name, driver, compute_mode, mig == "Enabled", _mib(total), _mib(free))


def _mib(text: str) -> int:
    """Some GPUs, whose memory is the machine's, tell none."""
    return int(text) * 2**20 if text.isdigit() else 0
