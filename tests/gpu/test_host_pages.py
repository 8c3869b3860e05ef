"""Pages of a GPU's pool on the host: what was saved from the GPU and evicted comes back to it with what it held."""

import importlib.util
from pathlib import Path

import pytest
import torch

from splitwiser.engine.memory import GpuMemory
from splitwiser.engine.page_copies import TensorCopier
from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.kv.host_index import Copies
from splitwiser.kv.layout import LayerShape, PoolLayout
from splitwiser.memory import memfd
from splitwiser.memory.cuda.segments import CudaMapper
from splitwiser.memory.local_segments import LocalSegments
from tests.support.host_pages import POOL, check_evicted_pages_come_back
from tests.support.stack import running_stack

PATIENT = {"start_timeout_s": 300}


async def test_pages_go_to_pinned_memory_and_back() -> None:
    # 2 MiB a page, so that 100 of them take several batches.
    layout = PoolLayout("model", "bfloat16", 16, 200, (LayerShape(8, 128, 128),) * 32, "layer,page,head,token,kv+dim")
    memory, device, here = GpuMemory(), LocalSegments(CudaMapper()), LocalSegments()
    pool = memory.tensor(await device.obtain("pool", lambda: memory.make_pool(layout), layout=layout))
    on_host = layout.on_host(128)
    segment = await here.obtain("host", lambda: memfd.make_pool(on_host, "host"), layout=on_host)
    host = memory.host_tensor(segment)
    assert host.is_pinned()
    pool.view(torch.int32).random_()
    before = pool.clone()
    copier = TensorCopier(layout, pool, host)
    pages, host_pages = tuple(range(199, 99, -1)), tuple(range(20, 120))
    copier.save(Copies(pages, host_pages))
    assert torch.equal(pool, before)
    pool.zero_()
    torch.cuda.synchronize()
    copier.load(Copies(pages, host_pages))
    by_page, before_by_page = pool.view(32, 200, -1), before.view(32, 200, -1)
    assert torch.equal(by_page[:, 100:], before_by_page[:, 100:])
    assert not by_page[:, :100].any()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["transformers", "vllm"])
async def test_evicted_pages_come_back(kind: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(kind) is None:
        pytest.skip(f"{kind} is not installed")
    engine = {"kind": kind, "device": "cuda", "model": str(make_tiny(tmp_path / "llama")), "batch_invariant": True}
    with running_stack(engine=engine, pool={**POOL, "page_tokens": 32}, stack=PATIENT) as stack:
        await check_evicted_pages_come_back(stack, page_tokens=32)
