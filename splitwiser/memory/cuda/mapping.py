"""Owns device memory that is mapped here: at which address, and that it is unmapped when nobody looks at it any more.

The order matters and is the same everywhere: reserve, map, allow access; later wait for the GPU, unmap, free the
addresses. The memory itself goes when no mapping, no handle and no descriptor of it is left, in any process.
"""

import weakref
from typing import Any

from splitwiser.memory.cuda.device import NUMBER, Device


class CudaRange:
    """size_bytes of device memory at address. Arrays made of it keep it; with the last of them it is unmapped."""

    def __init__(self, device: Device, handle: Any, size_bytes: int, *, writable: bool) -> None:
        self.size_bytes = size_bytes
        mapped_bytes = round_up(size_bytes, device.granularity_bytes)
        self.address = _map(device, handle, mapped_bytes, writable=writable)
        unmap = weakref.finalize(self, _unmap, device, self.address, mapped_bytes)
        # A process that ends leaves its mappings to the driver, whose library may be gone already.
        unmap.atexit = False

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """As bytes, for torch and its like (https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html)."""
        return {"shape": (self.size_bytes,), "typestr": "|u1", "data": (self.address, False), "version": 3}


class CudaMemory:
    """A segment's memory, as memoryview is a memfd's: released once, and kept while arrays of it are left."""

    def __init__(self, range_: CudaRange) -> None:
        self._range: CudaRange | None = range_

    @property
    def range(self) -> CudaRange:
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


def _map(device: Device, handle: Any, mapped_bytes: int, *, writable: bool) -> int:
    driver = device.driver
    with device.current():
        address = device.call("reserve addresses", driver.cuMemAddressReserve(mapped_bytes, 0, 0, 0))
        try:
            device.call("map device memory", driver.cuMemMap(address, mapped_bytes, 0, handle, 0))
            try:
                access = driver.cuMemSetAccess(address, mapped_bytes, [_access(device, writable=writable)], 1)
                device.call("make device memory accessible", access)
            except BaseException:
                # The first failure is the one to tell, whatever comes of undoing.
                driver.cuMemUnmap(address, mapped_bytes)
                raise
        except BaseException:
            driver.cuMemAddressFree(address, mapped_bytes)
            raise
    return int(address)


def _access(device: Device, *, writable: bool) -> Any:
    driver = device.driver
    flags = driver.CUmemAccess_flags
    access = driver.CUmemAccessDesc()
    access.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
    access.location.id = NUMBER
    access.flags = flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE if writable else flags.CU_MEM_ACCESS_FLAGS_PROT_READ
    return access


def _unmap(device: Device, address: int, mapped_bytes: int) -> None:
    driver = device.driver
    with device.current():
        # Whatever still runs may read there: to unmap under it would be a fault that ends every process of the GPU.
        device.call("wait for the GPU", driver.cuCtxSynchronize())
        device.call("unmap device memory", driver.cuMemUnmap(address, mapped_bytes))
        device.call("free addresses", driver.cuMemAddressFree(address, mapped_bytes))
