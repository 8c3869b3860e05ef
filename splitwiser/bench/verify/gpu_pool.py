"""Owns an outsider's view of a KV pool on the GPU: mapped from the store by a process that computes nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from splitwiser.bench.verify.pool import PoolView, pool_view, read_layout
from splitwiser.config.schema import Settings
from splitwiser.memory.cuda.device import Device, open_device
from splitwiser.memory.cuda.mapping import CudaMemory
from splitwiser.memory.cuda.segments import CudaMapper
from splitwiser.memory.segment import Made
from splitwiser.store.client import StoreClient


class CudaBytes:
    """Device memory as PoolView reads and fills it."""

    def __init__(self, device: Device, memory: CudaMemory) -> None:
        self._device = device
        self._memory = memory

    def read(self) -> bytes:
        """A copy of all of it."""
        copy = bytearray(self._memory.nbytes)
        driver = self._device.driver
        with self._device.current():
            self._device.call("read the pool", driver.cuMemcpyDtoH(copy, self._memory.range.address, len(copy)))
        return bytes(copy)

    def fill(self, byte: int) -> None:
        """Overwrite all of it."""
        driver, memory = self._device.driver, self._memory
        with self._device.current():
            self._device.call("fill the pool", driver.cuMemsetD8(memory.range.address, byte, memory.nbytes))
            self._device.call("wait for the GPU", driver.cuCtxSynchronize())


@asynccontextmanager
async def view_of_pool(settings: Settings, store_pid: int) -> AsyncIterator[PoolView]:
    """The pool of the stack of these settings, on either device. Raises StartupError if its store has none."""
    if settings.engine.device == "cpu":
        with pool_view(store_pid) as view:
            yield view
        return
    layout, mapper = read_layout(store_pid), CudaMapper()
    socket = settings.run_dir / settings.store.socket
    client = await StoreClient.connect(
        Path(socket), "observer", "pool-view", beat_s=settings.store.beat_s, mapper=mapper
    )
    try:
        segment = await client.obtain("pool", _never, layout=layout)
        assert isinstance(segment.memory, CudaMemory)
        try:
            yield PoolView(layout, CudaBytes(open_device(), segment.memory))
        finally:
            segment.close()
    finally:
        await client.close()


def _never() -> Made:
    raise AssertionError("the store has a pool")
