"""Addresses that stand in for a segment: nothing of an engine's start reaches it, and all that comes later does."""

import gc
from dataclasses import replace

import torch

from splitwiser.engine.memory import GpuMemory
from splitwiser.memory.cuda import segments
from splitwiser.memory.cuda.device import open_device
from splitwiser.memory.cuda.segments import CudaMapper
from splitwiser.memory.local_segments import LocalSegments
from splitwiser.memory.segment import Segment
from tests.gpu import segment_worker

# Not a multiple of a piece of the stand-in.
LAYOUT = replace(segment_worker.LAYOUT, pages=4096 + 100)


async def obtain(local: LocalSegments) -> Segment:
    return await local.obtain("pool", lambda: segments.make_pool(LAYOUT), layout=LAYOUT)


async def test_a_captured_graph_writes_to_scratch_before_and_to_the_segment_after() -> None:
    local, memory = LocalSegments(CudaMapper()), GpuMemory()
    seen = memory.tensor(await obtain(local))
    tensor, become = memory.stand_in(await obtain(local))
    assert tensor.shape == seen.shape == (LAYOUT.pool_bytes,)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        tensor.add_(1)
    graph.replay()
    tensor.fill_(9)
    torch.cuda.synchronize()
    assert not seen.any()
    become()
    assert not tensor.any(), "it shows the segment now"
    graph.replay()
    torch.cuda.synchronize()
    assert bool((seen == 1).all())
    local.close()


async def test_it_takes_little_memory_and_gives_it_back() -> None:
    local, memory, device = LocalSegments(CudaMapper()), GpuMemory(), open_device()
    segment = await obtain(local)
    gc.collect()
    torch.cuda.empty_cache()
    free_before = device.free_bytes()
    tensor, become = memory.stand_in(segment)
    assert free_before - device.free_bytes() < LAYOUT.pool_bytes // 2
    become()
    assert free_before - device.free_bytes() < 8 * 2**20
    local.close()
    del tensor, become, segment
    gc.collect()
    assert device.free_bytes() >= free_before + LAYOUT.pool_bytes
