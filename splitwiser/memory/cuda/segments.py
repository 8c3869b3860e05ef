"""Owns segments of GPU memory: made with an exportable handle, published as its descriptor, mapped from it.

Whoever keeps the descriptor keeps the memory, and needs no CUDA for that: so it outlives every process of the GPU.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict

from splitwiser.errors import StartupError
from splitwiser.kv.layout import PoolLayout
from splitwiser.memory.cuda.device import Device, open_device
from splitwiser.memory.cuda.mapping import CudaMemory, CudaRange, round_up
from splitwiser.memory.segment import Made


def make(
    name: str, size_bytes: int, *, manifest: bytes = b"", fill: Callable[[CudaMemory], None] | None = None
) -> Made:
    """A new zeroed segment, filled through fill. Raises StartupError when the memory is not there."""
    device = open_device()
    driver = device.driver
    _check_free(device, name, size_bytes)
    with device.current():
        whole_bytes = round_up(size_bytes, device.granularity_bytes)
        created = driver.cuMemCreate(whole_bytes, device.properties(), 0)
        handle = device.call(f"take {size_bytes} bytes of GPU memory for {name}", created)
        try:
            _fill(device, CudaMemory(CudaRange(device, handle, size_bytes, writable=True)), fill)
            exported = driver.cuMemExportToShareableHandle(handle, device.handle_type, 0)
            fd = int(device.call(f"export {name} as a file descriptor", exported))
        finally:
            # The descriptor and the mappings hold the memory from here on.
            device.call("release the handle", driver.cuMemRelease(handle))
    os.set_inheritable(fd, False)
    return Made(fd, size_bytes, manifest)


def make_pool(layout: PoolLayout) -> Made:
    """A zeroed KV pool of this layout; its manifest is the layout as JSON."""
    return make("pool", layout.pool_bytes, manifest=json.dumps(asdict(layout)).encode())


class CudaMapper:
    """Maps device memory: the GPU's Mapper."""

    def seal(self, fd: int, *, writable: bool) -> None:
        """Nothing: device memory has no seals. Its size is fixed from birth; that weights are not written to is seen
        to by each mapping alone, not by the memory, so whoever has the descriptor could map it for writing."""

    def map(self, fd: int, size_bytes: int, *, writable: bool) -> CudaMemory:
        """The segment on this process's GPU. Raises StartupError when fd is no memory of that GPU, or is smaller."""
        device = open_device()
        with device.current():
            imported = device.driver.cuMemImportFromShareableHandle(fd, device.handle_type)
            handle = device.call("import the store's segment (is it memory of this GPU?)", imported)
            try:
                return CudaMemory(CudaRange(device, handle, size_bytes, writable=writable))
            finally:
                device.call("release the handle", device.driver.cuMemRelease(handle))


def _fill(device: Device, memory: CudaMemory, fill: Callable[[CudaMemory], None] | None) -> None:
    try:
        zeroed = device.driver.cuMemsetD8(memory.range.address, 0, memory.nbytes)
        device.call("zero device memory", zeroed)
        if fill:
            fill(memory)
        # What was written must be there before anybody else maps it.
        device.call("wait for the GPU", device.driver.cuCtxSynchronize())
    finally:
        memory.release()


def _check_free(device: Device, name: str, size_bytes: int) -> None:
    free_bytes = device.free_bytes()
    if size_bytes > free_bytes:
        raise StartupError(
            f"{name} takes {size_bytes / 2**30:.1f} GiB of GPU memory and {free_bytes / 2**30:.1f} GiB are free",
            help="stop what else runs on the GPU, give a smaller pool.pages, or a smaller model",
        )
