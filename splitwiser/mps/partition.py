"""Owns the partition: which multiprocessors a process computes on, where a phase does not have all.

A green context (CUDA driver API, chapter 6.35) holds some of the GPU's multiprocessors, and the kernels of its streams
never leave them. Where the GPU has enough for both, two clients of one MPS daemon share none: decode counts its own
from the first, prefill from the last, and MPS placed even two that counted alike apart
(experiments/results/gpu-partition.json).
"""

from typing import Any, Literal

import torch

from splitwiser.errors import StartupError
from splitwiser.memory.cuda.device import Device, open_device

Side = Literal["prefill", "decode"]

UNIT_SMS = 8
"""Multiprocessors that Hopper hands out together: kernels whose blocks work in clusters need so many."""


def confine(side: Side, sms: int) -> int:
    """Let this thread, and every stream that torch makes from now on, compute on that many multiprocessors alone.

    Returns how many these are: prefill's may be up to 7 fewer. Raises StartupError for what this GPU cannot give.
    """
    device = open_device()
    mine = _part(device, side, sms)
    with device.current(_green_context(device, mine)):
        # torch takes all its streams from a pool, and makes that whole pool with the first: here.
        streams = [torch.cuda.Stream(priority=priority) for priority in (-1, 0)]
    for stream in streams:
        _check_confined(device, stream)
    torch.cuda.set_stream(streams[-1])
    return int(mine.sm.smCount)


def first_part(side: Side, sms: int, sm_count: int) -> int:
    """Where the GPU is to be split: decode has the first part of so many multiprocessors, prefill what comes after.

    Raises StartupError unless it has whole units and leaves something.
    """
    first = sms if side == "decode" else -((sms - sm_count) // UNIT_SMS) * UNIT_SMS
    if first % UNIT_SMS or not 0 < first < sm_count or sms <= 0:
        most = (sm_count - 1) // UNIT_SMS * UNIT_SMS
        units = (
            f"a multiple of {UNIT_SMS} from {UNIT_SMS} to {most}"
            if side == "decode"
            else f"{sm_count - most} to {sm_count - 1}"
        )
        raise StartupError(
            f"{sms} of this GPU's {sm_count} multiprocessors are no part that it can give",
            help=f"give {units}, or 0 for all",
            field=f"gpu.{side}_sms",
        )
    return first


def _part(device: Device, side: Side, sms: int) -> Any:
    driver = device.driver
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    whole = device.call("read the multiprocessors", driver.cuDeviceGetDevResource(device.number, kind))
    split = driver.cuDevSmResourceSplitByCount(1, whole, 0, first_part(side, sms, int(whole.sm.smCount)))
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
        raise StartupError("torch made its streams before the partition", help="please report this")
