"""Owns device memory that is mapped here: at which address, and that it is unmapped when nobody looks at it any more.

The order matters and is the same everywhere: reserve, map, allow access; later wait for the GPU, unmap, free the
addresses. The memory itself goes when no mapping, no handle and no descriptor of it is left, in any process.
"""

import weakref
from typing import Any

from splitwiser.memory.cuda.device import NUMBER, Device


class Range:
    """size_bytes of memory at an address of the GPU's. Arrays made of it keep it."""

    address: int
    size_bytes: int

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """As bytes, for torch and its like (https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html)."""
        return {"shape": (self.size_bytes,), "typestr": "|u1", "data": (self.address, False), "version": 3}


class Addresses(Range):
    """size_bytes of addresses, with nothing behind them at first. Arrays made of them keep them and what is mapped."""

    def __init__(self, device: Device, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.mapped_bytes = round_up(size_bytes, device.granularity_bytes)
        self.device = device
        self.pieces: list[tuple[int, int]] = []
        with device.current():
            reserved = device.driver.cuMemAddressReserve(self.mapped_bytes, 0, 0, 0)
            self.address = int(device.call("reserve addresses", reserved))
        self._free = weakref.finalize(self, _free, device, self.address, self.mapped_bytes, self.pieces)
        # A process that ends leaves its mappings to the driver, whose library may be gone already.
        self._free.atexit = False

    def map(self, handle: Any, size_bytes: int, *, offset: int = 0) -> None:
        """Put the memory of handle, all size_bytes of it, behind a part of the addresses."""
        address = self.address + offset
        with self.device.current():
            self.device.call("map device memory", self.device.driver.cuMemMap(address, size_bytes, 0, handle, 0))
        self.pieces.append((address, size_bytes))

    def allow(self, *, writable: bool) -> None:
        """Let the GPU read what is mapped, and write to it if so said."""
        access = [_access(self.device, writable=writable)]
        with self.device.current():
            allowed = self.device.driver.cuMemSetAccess(self.address, self.mapped_bytes, access, 1)
            self.device.call("make device memory accessible", allowed)

    def unmap(self) -> None:
        """Take what is mapped away, once the GPU has finished; the addresses stay."""
        _unmap(self.device, self.pieces)


class CudaRange(Addresses):
    """size_bytes of device memory at address. With the last array made of it, it is unmapped."""

    def __init__(self, device: Device, handle: Any, size_bytes: int, *, writable: bool) -> None:
        super().__init__(device, size_bytes)
        try:
            self.map(handle, self.mapped_bytes)
            self.allow(writable=writable)
        except BaseException:
            # At once: the error's traceback would hold it for as long as somebody looks at that.
            self._free()
            raise


class CudaMemory:
    """A segment's memory, as memoryview is a memfd's: released once, and kept while arrays of it are left."""

    def __init__(self, range_: Addresses) -> None:
        self._range: Addresses | None = range_

    @property
    def range(self) -> Addresses:
        """Raises ValueError after release."""
        if self._range is None:
            raise ValueError("the memory was released")
        return self._range

    @property
    def nbytes(self) -> int:
        return self.range.size_bytes

    def release(self) -> None:
        """Unmap, now or with the last array over it. Safe to call twice."""
        self._range = None


def round_up(size_bytes: int, unit_bytes: int) -> int:
    """The next multiple; at least one unit, as nothing of size 0 can be mapped."""
    return max(1, -(-size_bytes // unit_bytes)) * unit_bytes


def _access(device: Device, *, writable: bool) -> Any:
    driver = device.driver
    flags = driver.CUmemAccess_flags
    access = driver.CUmemAccessDesc()
    access.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
    access.location.id = NUMBER
    access.flags = flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE if writable else flags.CU_MEM_ACCESS_FLAGS_PROT_READ
    return access


def _unmap(device: Device, pieces: list[tuple[int, int]]) -> None:
    driver = device.driver
    if not pieces:
        return
    with device.current():
        # Whatever still runs may read there: to unmap under it would be a fault that ends every process of the GPU.
        device.call("wait for the GPU", driver.cuCtxSynchronize())
        while pieces:
            device.call("unmap device memory", driver.cuMemUnmap(*pieces.pop()))


def _free(device: Device, address: int, mapped_bytes: int, pieces: list[tuple[int, int]]) -> None:
    _unmap(device, pieces)
    with device.current():
        device.call("free addresses", device.driver.cuMemAddressFree(address, mapped_bytes))
