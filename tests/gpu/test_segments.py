"""GPU memory is made once, seen by all who map it, outlives its maker, and is freed with its last holder."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from splitwiser.engine.memory import HOST, memory_of
from splitwiser.errors import StartupError
from splitwiser.memory import memfd
from splitwiser.memory.cuda import segments
from splitwiser.memory.cuda.device import Device, open_device
from splitwiser.memory.cuda.mapping import CudaMemory
from splitwiser.memory.cuda.segments import CudaMapper
from splitwiser.memory.cuda.tensors import as_tensor
from splitwiser.memory.local_segments import LocalSegments
from splitwiser.memory.segment import Made
from tests.gpu.processes import has_cuda
from tests.gpu.segment_worker import LAYOUT, fill
from tests.support.processes import child
from tests.support.store_service import store_service

SIZE = 100 * 2**20 + 24
SLACK = 64 * 2**20


def make_filled() -> Made:
    def count(memory: CudaMemory) -> None:
        as_tensor(memory).copy_(torch.arange(SIZE) % 251)

    return segments.make("weights", SIZE, manifest=b"what is where", fill=count)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float32, torch.int64])
async def test_every_mapping_sees_what_its_maker_wrote_in_any_dtype(dtype: torch.dtype) -> None:
    local = LocalSegments(CudaMapper())
    one = await local.obtain("weights", make_filled)
    other = await local.obtain("weights", make_filled)
    local.close()
    assert isinstance(one.memory, CudaMemory)
    assert isinstance(other.memory, CudaMemory)
    assert one.memory.range.address != other.memory.range.address
    expected = (torch.arange(SIZE) % 251).to(torch.uint8).view(dtype)
    assert (one.size_bytes, one.manifest) == (SIZE, b"what is where")
    for memory in (one.memory, other.memory):
        assert torch.equal(as_tensor(memory).view(dtype).cpu().view(torch.uint8), expected.view(torch.uint8))


async def test_a_pool_is_zeroed_and_writes_to_it_are_seen_by_all() -> None:
    local = LocalSegments(CudaMapper())
    one = await local.obtain("pool", lambda: segments.make_pool(LAYOUT), layout=LAYOUT)
    other = await local.obtain("pool", lambda: segments.make_pool(LAYOUT), layout=LAYOUT)
    local.close()
    assert isinstance(one.memory, CudaMemory)
    assert isinstance(other.memory, CudaMemory)
    assert not as_tensor(one.memory).any()
    as_tensor(one.memory).view(torch.bfloat16)[-5:] = 3.5
    assert as_tensor(other.memory).view(torch.bfloat16)[-5:].tolist() == [3.5] * 5


def test_weights_cannot_be_written_to_once_mapped() -> None:
    """The GPU itself refuses, and that ends whoever tries: so it is tried by a process of its own."""
    code = (
        "import torch\n"
        "from splitwiser.memory.cuda import segments, tensors\n"
        "made = segments.make('weights', 2**21)\n"
        "memory = segments.CudaMapper().map(made.data_fd, 2**21, writable=False)\n"
        "tensors.as_tensor(memory).fill_(1)\n"
        "torch.cuda.synchronize()\n"
    )
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert tried.returncode != 0
    assert "illegal memory access" in tried.stderr


async def test_the_gpu_reads_memory_of_this_machine_in_place_while_a_tensor_of_it_is_left() -> None:
    def fill(content: torch.Tensor) -> None:
        content.copy_(torch.arange(SIZE) % 251)

    def make() -> Made:
        return HOST.make("weights-host", SIZE, b"", fill)

    device, memory, local = open_device(), memory_of("cuda"), LocalSegments()
    one, other = [await local.obtain("weights-host", make, mapper=memory.in_place_mapper) for _ in range(2)]
    local.close()
    free_before = device.free_bytes()
    tensors = [memory.read_in_place(segment) for segment in (one, other)]
    assert device.free_bytes() > free_before - SLACK
    expected = (torch.arange(SIZE) % 251).to(torch.uint8)
    for tensor in tensors:
        assert tensor.is_cuda
        assert torch.equal(tensor.view(torch.bfloat16).cpu().view(torch.uint8), expected)
    one.buffer[5] = 200
    assert tensors[1][5].item() == 200, "the two look at the same memory"
    address, view = HOST.tensor(one).data_ptr(), tensors[0][10:20]
    tensors.clear()
    one.close()
    gc.collect()
    assert view.tolist() == list(range(10, 20))
    assert is_pinned(device, address)
    del view
    gc.collect()
    assert not is_pinned(device, address)


def is_pinned(device: Device, address: int) -> bool:
    with device.current():
        code, *_ = device.driver.cuMemHostGetFlags(address)
    return bool(code == device.driver.CUresult.CUDA_SUCCESS)


async def test_memory_is_freed_with_its_last_tensor_descriptor_and_mapping_and_not_before() -> None:
    size, slack = 4 * 2**30, 2**30
    device = open_device()
    gc.collect()
    torch.cuda.empty_cache()
    free_before = device.free_bytes()
    local = LocalSegments(CudaMapper())
    segment = await local.obtain("weights", lambda: segments.make("weights", size, fill=lambda m: fill(m, 77)))
    assert device.free_bytes() < free_before - size + slack
    assert isinstance(segment.memory, CudaMemory)
    view = as_tensor(segment.memory)[1000:2000]
    segment.close()
    segment.close()
    local.close()
    gc.collect()
    assert device.free_bytes() < free_before - size + slack
    assert view.tolist() == [77] * 1000
    del view
    gc.collect()
    assert device.free_bytes() > free_before - slack


def test_what_is_no_memory_of_this_gpu_is_refused() -> None:
    made = memfd.make("pool", 2**21)
    with pytest.raises(StartupError, match="import the store's segment"):
        CudaMapper().map(made.data_fd, 2**21, writable=True)
    os.close(made.data_fd)


def test_a_segment_that_is_smaller_than_it_is_said_to_be_is_refused() -> None:
    made = segments.make("pool", 2**21)
    with pytest.raises(StartupError, match="map device memory"):
        CudaMapper().map(made.data_fd, 2**23, writable=True)
    os.close(made.data_fd)


def test_more_memory_than_there_is_is_refused_with_the_numbers() -> None:
    free_bytes = open_device().free_bytes()
    with pytest.raises(StartupError, match=r"weights takes .* GiB of GPU memory and .* GiB are free"):
        segments.make("weights", 2 * free_bytes)


@pytest.mark.parametrize("name", ["pool", "weights"])
async def test_memory_in_the_store_outlives_its_killed_maker_and_the_store_knows_no_cuda(
    name: str, folder: Path
) -> None:
    free_before = open_device().free_bytes()
    async with store_service(folder) as (store, _):
        socket = str(folder / "store.sock")
        async with child("tests.gpu.segment_worker", socket, name, "77") as maker:
            said = await maker.line()
            assert (said["made"], said["ends"]) == (True, [77, 77])
            os.kill(said["pid"], signal.SIGKILL)
            await maker.process.wait()
        assert not has_cuda(store.pid)
        assert open_device().free_bytes() < free_before - LAYOUT.pool_bytes + SLACK
        async with child("tests.gpu.segment_worker", socket, name, "5") as heir:
            said = await heir.line()
            assert (said["made"], said["ends"]) == (False, [77, 77])
    assert open_device().free_bytes() > free_before - SLACK
