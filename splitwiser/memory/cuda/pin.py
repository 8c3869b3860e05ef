"""Owns host memory that the GPU copies from and to by itself."""

from splitwiser.memory.cuda.device import open_device


def pin(address: int, size_bytes: int) -> None:
    """Pin mapped memory for as long as this process lives; pageable memory would be copied twice, with the CPU waiting.

    Raises StartupError.
    """
    device = open_device()
    flags = device.driver.CU_MEMHOSTREGISTER_PORTABLE
    with device.current():
        pinned = device.driver.cuMemHostRegister(address, size_bytes, flags)
        device.call(f"pin {size_bytes} bytes of host memory (pool.host_pages)", pinned)
