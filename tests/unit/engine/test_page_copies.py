"""A page that was saved comes back whole, whatever the order of the pool's dimensions, and no other byte changes."""

import pytest
import torch

from splitwiser.engine import page_copies
from splitwiser.engine.page_copies import TensorCopier
from splitwiser.engine.transformers.pool import map_pool, pool_elements
from splitwiser.kv.host_index import Copies
from splitwiser.kv.layout import LayerShape, PoolLayout

PAGES, PAGE_TOKENS, HOST_PAGES = 7, 4, 5
UNEQUAL = (LayerShape(2, 8, 4), LayerShape(1, 8, 8), LayerShape(4, 2, 6))
EQUAL = (LayerShape(2, 8, 8),) * 3
# What vLLM's kernels choose from (vllm.v1.kv_cache_layout), and the others' own.
ORDERS = [
    "layer,page,head,token,kv+dim",
    "layer,page,token,head,kv+dim",
    "layer,head,page,token,kv+dim",
    "page,layer,head,token,kv+dim",
    "page,head,layer,token,kv+dim",
    "layer,kv,page,token,head,dim",
]
SIZES = {"layer": 3, "head": 2, "token": PAGE_TOKENS, "kv": 2, "dim": 8, "kv+dim": 16}


def filled(size_bytes: int) -> torch.Tensor:
    return torch.randint(0, 256, (size_bytes,), dtype=torch.uint8, generator=torch.Generator().manual_seed(size_bytes))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("scratch", [0, 1])
@pytest.mark.parametrize("order", ORDERS)
def test_a_page_comes_back_in_another_place(
    order: str, scratch: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = PoolLayout("model", dtype, PAGE_TOKENS, PAGES, EQUAL, order, scratch)
    # Two pages a batch, so that three take two.
    monkeypatch.setattr(page_copies, "STAGING_BYTES", 2 * layout.page_bytes)
    pool, host = filled(layout.pool_bytes), torch.zeros(HOST_PAGES * layout.page_bytes, dtype=torch.uint8)
    names = order.split(",")
    shape = [SIZES.get(name, PAGES + scratch) for name in names]

    def page(number: int, content: torch.Tensor) -> torch.Tensor:
        """As whoever reads the pool by its order has it."""
        elements = content.view(torch.int32 if dtype == "float32" else torch.int16)
        return elements.view(shape).select(names.index("page"), number + scratch)

    copier, before = TensorCopier(layout, pool, host), pool.clone()
    copier.save(Copies((5, 0, 2), (4, 1, 0)))
    assert torch.equal(pool, before)
    copier.load(Copies((3, 5, 6), (0, 4, 1)))
    moved = {3: 2, 6: 0}
    for number in range(-scratch, PAGES):
        assert torch.equal(page(number, pool), page(moved.get(number, number), before))


def test_pages_of_odd_sizes() -> None:
    layout = PoolLayout("model", "bfloat16", 1, PAGES, (LayerShape(1, 3, 3),))
    pool, host = filled(layout.pool_bytes), torch.zeros(HOST_PAGES * layout.page_bytes, dtype=torch.uint8)
    copier, before = TensorCopier(layout, pool, host), pool.clone()
    copier.save(Copies((1, 4), (3, 0)))
    pool.zero_()
    copier.load(Copies((1, 4), (3, 0)))
    kept = pool.view(2, PAGES, -1)[:, [1, 4]]
    assert torch.equal(kept, before.view(2, PAGES, -1)[:, [1, 4]])
    assert pool.count_nonzero() == kept.count_nonzero()


def test_layers_of_unequal_shapes() -> None:
    layout = PoolLayout("model", "float32", PAGE_TOKENS, PAGES, UNEQUAL)
    pool, host = filled(layout.pool_bytes), torch.zeros(HOST_PAGES * layout.page_bytes, dtype=torch.uint8)
    layers = map_pool(layout, pool_elements(layout, pool))
    expected = [(layer.keys[1].clone(), layer.values[1].clone()) for layer in layers]
    copier = TensorCopier(layout, pool, host)
    copier.save(Copies((1,), (3,)))
    pool.zero_()
    copier.load(Copies((6,), (3,)))
    for layer, (keys, values) in zip(layers, expected, strict=True):
        assert torch.equal(layer.keys[6].view(torch.int32), keys.view(torch.int32))
        assert torch.equal(layer.values[6].view(torch.int32), values.view(torch.int32))
        assert not layer.keys[:6].view(torch.int32).any()


def test_the_parts_of_all_pages_are_the_pool() -> None:
    for order in ORDERS:
        layout = PoolLayout("model", "bfloat16", PAGE_TOKENS, PAGES, EQUAL, order, 1)
        assert sum(part.page_bytes for part in layout.parts) == layout.page_bytes
        ends = [part.offset_bytes + PAGES * part.page_bytes for part in layout.parts]
        starts = [part.offset_bytes - part.page_bytes for part in layout.parts]
        assert [*starts, layout.pool_bytes] == [0, *ends]
