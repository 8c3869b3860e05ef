"""Owns the partition: which multiprocessors a process computes on where each phase has some of its own.

A green context (CUDA driver API, chapter 6.35) holds some of the GPU's multiprocessors, and the kernels of its streams
never leave them. Two clients of one MPS daemon that take different units of the same split share none of them
(experiments/results/gpu-partition.json). A cap of MPS, by contrast, says how many and not which.
"""

from typing import Any, Literal

import torch

from splitwiser.errors import StartupError
from splitwiser.memory.cuda.device import Device, open_device

Side = Literal["prefill", "decode"]

UNIT_SMS = 8
"""Multiprocessors that Hopper hands out together: kernels whose blocks work in clusters need so many."""
_FIELD = "gpu.decode_sms"


def confine(side: Side, decode_sms: int) -> int:
    """Let this thread, and every stream that torch makes from now on, compute on one side's multiprocessors alone.

    Returns how many these are. Raises StartupError for a partition that this GPU does not have.
    """
    device = open_device()
    mine = _part(device, side, decode_sms)
    with device.current(_green_context(device, mine)):
        # torch takes all its streams from a pool, and makes that whole pool with the first: here.
        streams = [torch.cuda.Stream(priority=priority) for priority in (-1, 0)]
    for stream in streams:
        _check_confined(device, stream)
    torch.cuda.set_stream(streams[-1])
    return int(mine.sm.smCount)


def check_partition_of(sm_count: int, decode_sms: int) -> None:
    """Raises StartupError unless both sides of a GPU with so many multiprocessors get whole units."""
    most = (sm_count - 1) // UNIT_SMS * UNIT_SMS
    if decode_sms % UNIT_SMS or not 0 < decode_sms <= most:
        raise StartupError(
            f"{decode_sms} multiprocessors of decode's own are no part of this GPU's {sm_count}",
            help=f"give a multiple of {UNIT_SMS} from {UNIT_SMS} to {most}, or 0 for none",
            field=_FIELD,
        )


def _part(device: Device, side: Side, decode_sms: int) -> Any:
    """The same split in each process: decode has its first part, prefill what remains."""
    driver = device.driver
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    whole = device.call("read the multiprocessors", driver.cuDeviceGetDevResource(device.number, kind))
    check_partition_of(int(whole.sm.smCount), decode_sms)
    split = driver.cuDevSmResourceSplitByCount(1, whole, 0, decode_sms)
    parts, _, rest = device.call("split the multiprocessors", split)
    return parts[0] if side == "decode" else rest


def _green_context(device: Device, part: Any) -> Any:
    """Never destroyed: the process ends with it."""
    driver = device.driver
    plan = device.call("plan a partition", driver.cuDevResourceGenerateDesc([part], 1))
    flags = driver.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM
    green = device.call("make a partition", driver.cuGreenCtxCreate(plan, device.number, int(flags)))
    return device.call("enter a partition", driver.cuCtxFromGreenCtx(green))


def _check_confined(device: Device, stream: torch.cuda.Stream) -> None:
    green = device.call("ask for a stream's partition", device.driver.cuStreamGetGreenCtx(stream.cuda_stream))
    if not int(green):
        raise StartupError("torch made its streams before the partition", help="please report this", field=_FIELD)
