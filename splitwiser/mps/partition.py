"""Owns the partition: which multiprocessors a process computes on where each phase has some of its own.

A green context (CUDA driver API, chapter 6.35) holds some of the GPU's multiprocessors, and the kernels of its streams
never leave them. Two clients of one MPS daemon that take different units of the same split share none of them
(experiments/results/gpu-partition.json). A cap of MPS, by contrast, says how many and not which.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import torch

from splitwiser.errors import StartupError
from splitwiser.memory.cuda.device import Device, open_device

Side = Literal["prefill", "decode"]
Unit = TypeVar("Unit")

UNIT_SMS = 8
"""Multiprocessors that Hopper hands out together: kernels whose blocks work in clusters need so many."""
_FIELD = "gpu.decode_sms"


def confine(side: Side, decode_sms: int) -> int:
    """Let this thread, and every stream that torch makes from now on, compute on one side's multiprocessors alone.

    Returns how many these are. Raises StartupError for a partition that this GPU does not have.
    """
    device = open_device()
    units = _units(device)
    chosen = part(units, side, decode_sms)
    with device.current(_green_context(device, chosen)):
        # torch takes all its streams from a pool, and makes that whole pool with the first: here.
        streams = [torch.cuda.Stream(priority=priority) for priority in (-1, 0)]
    for stream in streams:
        _check_confined(device, stream)
    torch.cuda.set_stream(streams[-1])
    return sum(int(unit.sm.smCount) for unit in chosen)


def part(units: Sequence[Unit], side: Side, decode_sms: int) -> Sequence[Unit]:
    """The side's units: decode has the first, prefill all others. Raises StartupError when either would have none."""
    count, rest = divmod(decode_sms, UNIT_SMS)
    if rest or not 0 < count < len(units):
        most = (len(units) - 1) * UNIT_SMS
        raise StartupError(
            f"{decode_sms} multiprocessors of decode's own leave no partition of this GPU",
            help=f"give a multiple of {UNIT_SMS} from {UNIT_SMS} to {most}, or 0 for none",
            field=_FIELD,
        )
    return units[:count] if side == "decode" else units[count:]


def _units(device: Device) -> list[Any]:
    driver = device.driver
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    whole = device.call("read the multiprocessors", driver.cuDeviceGetDevResource(device.number, kind))
    most = whole.sm.smCount // UNIT_SMS
    split = driver.cuDevSmResourceSplitByCount(most, whole, 0, UNIT_SMS)
    units, count, _ = device.call("split the multiprocessors", split)
    return list(units[:count])


def _green_context(device: Device, units: Sequence[Any]) -> Any:
    """Never destroyed: the process ends with it."""
    driver = device.driver
    plan = device.call("plan a partition", driver.cuDevResourceGenerateDesc(list(units), len(units)))
    flags = driver.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM
    green = device.call("make a partition", driver.cuGreenCtxCreate(plan, device.number, int(flags)))
    return device.call("enter a partition", driver.cuCtxFromGreenCtx(green))


def _check_confined(device: Device, stream: torch.cuda.Stream) -> None:
    green = device.call("ask for a stream's partition", device.driver.cuStreamGetGreenCtx(stream.cuda_stream))
    if not int(green):
        raise StartupError("torch made its streams before the partition", help="please report this", field=_FIELD)
