"""Without a GPU: the driver's calls come in the right order, are undone when one fails, and every failure is told.

cuda-bindings is the real one where a result or an enumeration is read; the calls go to a driver that only notes them.
"""

import gc
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any, cast

import pytest
from cuda.bindings import driver as real

from splitwiser.errors import StartupError
from splitwiser.memory.cuda.device import Device, open_device
from splitwiser.memory.cuda.driver import checked
from splitwiser.memory.cuda.in_place import PinnedRange
from splitwiser.memory.cuda.mapping import CudaMemory, CudaRange, round_up
from splitwiser.mps.gpu import read_gpu

UNIT = 2**21
ADDRESS = 0x7F00_0000_0000
OUT_OF_MEMORY = real.CUresult.CUDA_ERROR_OUT_OF_MEMORY


class NotingDriver(ModuleType):
    """Has the real driver's types, and functions that note their names and succeed, but for the one in fails."""

    def __init__(self) -> None:
        super().__init__("noting_driver")
        self.calls: list[str] = []
        self.fails = ""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            return getattr(real, name)

        def call(*arguments: object) -> tuple[object, ...]:
            self.calls.append(name)
            if name == self.fails:
                return (OUT_OF_MEMORY, None)
            return (real.CUresult.CUDA_SUCCESS, ADDRESS)

        return call

    @property
    def memory_calls(self) -> list[str]:
        """In their order, without the context's."""
        return [name for name in self.calls if not name.startswith("cuCtxP")]


@pytest.fixture
def driver() -> Iterator[NotingDriver]:
    driver = NotingDriver()
    yield driver
    gc.collect()
    assert driver.calls.count("cuCtxPushCurrent") == driver.calls.count("cuCtxPopCurrent")


def range_of(driver: NotingDriver) -> CudaRange:
    return CudaRange(Device(cast("ModuleType", driver), 0, None, UNIT), None, UNIT + 1, writable=True)


def test_memory_is_reserved_mapped_opened_and_later_waited_for_unmapped_and_freed(driver: NotingDriver) -> None:
    memory = CudaMemory(range_of(driver))
    assert memory.nbytes == UNIT + 1
    assert driver.memory_calls == ["cuMemAddressReserve", "cuMemMap", "cuMemSetAccess"]
    memory.release()
    memory.release()
    assert driver.memory_calls[3:] == ["cuCtxSynchronize", "cuMemUnmap", "cuMemAddressFree"]
    with pytest.raises(ValueError, match="released"):
        _ = memory.nbytes


def test_memory_that_an_array_looks_at_stays_mapped_until_that_is_gone(driver: NotingDriver) -> None:
    memory = CudaMemory(range_of(driver))
    held = [memory.range]
    assert held[0].__cuda_array_interface__["data"] == (ADDRESS, False)
    memory.release()
    assert "cuMemUnmap" not in driver.calls
    held.clear()
    assert driver.memory_calls[-1] == "cuMemAddressFree"


@pytest.mark.parametrize(
    ("fails", "undone"),
    [
        ("cuMemAddressReserve", []),
        ("cuMemMap", ["cuMemAddressFree"]),
        ("cuMemSetAccess", ["cuCtxSynchronize", "cuMemUnmap", "cuMemAddressFree"]),
    ],
)
def test_a_step_that_fails_undoes_those_before_it(fails: str, undone: list[str], driver: NotingDriver) -> None:
    driver.fails = fails
    with pytest.raises(StartupError, match="CUDA_ERROR_OUT_OF_MEMORY") as error:
        range_of(driver)
    assert "pool.pages" in error.value.help
    assert driver.memory_calls[driver.memory_calls.index(fails) + 1 :] == undone


class Mapping:
    """Memory of this machine; notes when it is unmapped."""

    def __init__(self, calls: list[str]) -> None:
        weakref.finalize(self, calls.append, "unmapped")


def pinned_of(driver: NotingDriver) -> PinnedRange:
    return PinnedRange(Device(cast("ModuleType", driver), 0, None, UNIT), 4096, 5000, Mapping(driver.calls))


def test_memory_of_this_machine_is_pinned_while_an_array_of_it_is_left(driver: NotingDriver) -> None:
    held = [pinned_of(driver)]
    assert held[0].__cuda_array_interface__ | {"version": 3} == {
        "shape": (5000,),
        "typestr": "|u1",
        "data": (ADDRESS, False),
        "version": 3,
    }
    gc.collect()
    assert driver.memory_calls == ["cuMemHostRegister", "cuMemHostGetDevicePointer"]
    held.clear()
    assert driver.memory_calls[2:] == ["cuCtxSynchronize", "cuMemHostUnregister", "unmapped"]


@pytest.mark.parametrize(
    ("fails", "undone"),
    [
        ("cuMemHostRegister", []),
        ("cuMemHostGetDevicePointer", ["cuCtxSynchronize", "cuMemHostUnregister"]),
    ],
)
def test_memory_that_the_gpu_cannot_read_is_not_left_pinned(
    fails: str, undone: list[str], driver: NotingDriver
) -> None:
    driver.fails = fails
    with pytest.raises(StartupError, match="CUDA_ERROR_OUT_OF_MEMORY") as error:
        pinned_of(driver)
    calls = [name for name in driver.memory_calls if name != "unmapped"]
    assert calls[calls.index(fails) + 1 :] == undone
    assert error.tb, "whose frames keep what they had"


def test_results_are_values_or_errors() -> None:
    assert checked(real, "look", (real.CUresult.CUDA_SUCCESS, 5)) == 5
    assert checked(real, "look", (real.CUresult.CUDA_SUCCESS, 5, 6)) == (5, 6)
    assert checked(real, "look", (real.CUresult.CUDA_SUCCESS,)) == ()
    with pytest.raises(StartupError, match="cannot look: CUDA_ERROR_INVALID_CONTEXT"):
        checked(real, "look", (real.CUresult.CUDA_ERROR_INVALID_CONTEXT,))


@pytest.mark.parametrize(("size", "rounded"), [(0, UNIT), (1, UNIT), (UNIT, UNIT), (UNIT + 1, 2 * UNIT)])
def test_allocations_are_whole_units(size: int, rounded: int) -> None:
    assert round_up(size, UNIT) == rounded


def test_a_machine_without_a_gpu_is_told_what_to_do() -> None:
    try:
        read_gpu()
    except StartupError:
        pass
    else:
        pytest.skip("there is a GPU")
    with pytest.raises(StartupError, match=r"no NVIDIA driver|cannot start CUDA: CUDA_ERROR_NO_DEVICE") as error:
        open_device()
    assert "engine.device=cpu" in error.value.help
