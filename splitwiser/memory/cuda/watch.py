"""Owns the question whether the GPU still works for this process.

A fatal fault under MPS ends all clients of its server, and the server takes new ones only when the last of them has
left. A worker that happens to be idle would not notice and keep the others out: so each asks, all the time.
"""

import asyncio
from typing import Any

from splitwiser.errors import StartupError, WorkerLost
from splitwiser.memory.cuda.device import Device, open_device

INTERVAL_S = 0.25


async def watch_gpu() -> None:
    """Ask until cancelled. Raises WorkerLost once the GPU has failed this process."""
    device = open_device()
    pulse = Pulse(device)
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            await asyncio.to_thread(pulse.beat)
        except StartupError as error:
            raise WorkerLost(
                f"the GPU does not work for this process any more ({error.cause})",
                help="nothing, if this was a fault of another MPS client: all start again on the store's memory",
            ) from error


class Pulse:
    """One byte of device memory, written on a stream of its own: the least work that shows a fault."""

    def __init__(self, device: Device) -> None:
        self._device = device
        driver = device.driver
        with device.current():
            flags = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
            self._stream: Any = device.call("make a stream", driver.cuStreamCreate(flags))
            self._byte: Any = device.call("take a byte of GPU memory", driver.cuMemAlloc(1))

    def beat(self) -> None:
        """Raises StartupError when the GPU has failed. Blocks while the GPU is too busy for a byte."""
        device = self._device
        with device.current():
            device.call("write a byte", device.driver.cuMemsetD8Async(self._byte, 0, 1, self._stream))
            device.call("wait for the byte", device.driver.cuStreamSynchronize(self._stream))
