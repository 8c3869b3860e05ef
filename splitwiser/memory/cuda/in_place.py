"""Owns memory of this machine that the GPU reads in place: pinned for as long as an array of it is left.

Each process pins its own mapping of a segment, and all read the same memory, over the bus, whenever a kernel does.
"""

import weakref

from splitwiser.memory.cuda.device import Device
from splitwiser.memory.cuda.mapping import Range
from splitwiser.memory.memfd import MemfdMapper


class PinnableMapper(MemfdMapper):
    """Maps memfds for a GPU to read in place: for writing, though nobody writes to them.

    To pin memory the driver asks the kernel for the right to write to it. Without (CU_MEMHOSTREGISTER_READ_ONLY) not
    every GPU can: CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED is 0 on some of the newest, too.
    """

    def seal(self, fd: int, *, writable: bool) -> None:
        """Fix the size for good."""
        super().seal(fd, writable=True)

    def map(self, fd: int, size_bytes: int, *, writable: bool) -> memoryview:
        """As MemfdMapper, always for writing."""
        return super().map(fd, size_bytes, writable=True)


class PinnedRange(Range):
    """The GPU's view of size_bytes at host_address, a mapping that owner keeps. Goes with its last array."""

    def __init__(self, device: Device, host_address: int, size_bytes: int, owner: object) -> None:
        self.size_bytes = size_bytes
        driver = device.driver
        flags = driver.CU_MEMHOSTREGISTER_PORTABLE | driver.CU_MEMHOSTREGISTER_DEVICEMAP
        with device.current():
            pinned = driver.cuMemHostRegister(host_address, size_bytes, flags)
            device.call(f"pin {size_bytes} bytes of this machine's memory", pinned)
            free = weakref.finalize(self, _unpin, device, host_address, owner)
            # A process that ends leaves its pins to the driver, whose library may be gone already.
            free.atexit = False
            try:
                found = driver.cuMemHostGetDevicePointer(host_address, 0)
                self.address = int(device.call("find pinned memory from the GPU", found))
            except BaseException:
                # At once: the error's traceback would hold it for as long as somebody looks at that.
                free()
                raise


def _unpin(device: Device, host_address: int, owner: object) -> None:
    """owner: kept until here, so that nothing is unmapped while it is pinned."""
    with device.current():
        # Whatever still runs may read there.
        device.call("wait for the GPU", device.driver.cuCtxSynchronize())
        device.call("unpin memory", device.driver.cuMemHostUnregister(host_address))
