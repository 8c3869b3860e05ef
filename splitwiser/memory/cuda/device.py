"""Owns the GPU that a process computes on, and its primary context, which torch shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from splitwiser.errors import StartupError
from splitwiser.memory.cuda.driver import checked, load_driver

NUMBER = 0
"""The first of the GPUs that CUDA_VISIBLE_DEVICES leaves: a stack has one."""


@dataclass(frozen=True, slots=True)
class Device:
    """An open GPU. number: as the driver names it; granularity_bytes: what an allocation is a multiple of."""

    driver: ModuleType
    number: Any
    context: Any
    granularity_bytes: int

    @contextmanager
    def current(self, context: Any = None) -> Iterator[None]:
        """The GPU is this thread's for the length of the block, by its primary context or by one given."""
        self.call("enter the GPU's context", self.driver.cuCtxPushCurrent(context or self.context))
        try:
            yield
        finally:
            self.call("leave the GPU's context", self.driver.cuCtxPopCurrent())

    def call(self, purpose: str, result: Any) -> Any:
        """The values of a driver call; StartupError when it failed."""
        return checked(self.driver, purpose, result)

    def free_bytes(self) -> int:
        """Memory of the GPU that nobody has taken."""
        with self.current():
            free, _ = self.call("read the GPU's memory", self.driver.cuMemGetInfo())
        return int(free)

    def properties(self) -> Any:
        """What an allocation is: device memory whose handle leaves as a file descriptor."""
        driver = self.driver
        properties = driver.CUmemAllocationProp()
        properties.type = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
        properties.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        properties.location.id = NUMBER
        properties.requestedHandleTypes = self.handle_type
        return properties

    @property
    def handle_type(self) -> Any:
        return self.driver.CUmemAllocationHandleType.CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR


def open_device() -> Device:
    """GPU NUMBER with its primary context. Raises StartupError when there is none, or it cannot share memory."""
    driver = load_driver()
    if checked(driver, "count the GPUs", driver.cuDeviceGetCount()) <= NUMBER:
        raise StartupError("CUDA sees no GPU", help="check `nvidia-smi` and CUDA_VISIBLE_DEVICES")
    number = checked(driver, "find the GPU", driver.cuDeviceGet(NUMBER))
    _check_able(driver, number)
    context = checked(driver, "open the GPU", driver.cuDevicePrimaryCtxRetain(number))
    device = Device(driver, number, context, 0)
    granularity = driver.CUmemAllocationGranularity_flags.CU_MEM_ALLOC_GRANULARITY_RECOMMENDED
    size = device.call(
        "read the GPU's page size", driver.cuMemGetAllocationGranularity(device.properties(), granularity)
    )
    return Device(driver, number, context, int(size))


def _check_able(driver: ModuleType, number: Any) -> None:
    attributes = driver.CUdevice_attribute
    for attribute in (
        attributes.CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
        attributes.CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED,
    ):
        if not checked(driver, "read the GPU's attributes", driver.cuDeviceGetAttribute(attribute, number)):
            raise StartupError(
                f"this GPU or its driver cannot share memory by file descriptor ({attribute.name} is 0)",
                help="use a GPU of the Volta generation or later, on Linux, with its driver up to date",
            )
