"""The tensors over the pool: they cover every byte once, in the layout's order."""

import numpy as np
import torch

from splitwiser.engine.transformers.pool import map_pool, pool_elements
from splitwiser.kv.layout import LayerShape, PoolLayout

LAYOUT = PoolLayout("m", "float32", 4, 6, (LayerShape(2, 8, 8), LayerShape(1, 16, 4)))


def test_views_cover_the_pool_once_in_the_order_of_the_layout() -> None:
    buffer = bytearray(LAYOUT.pool_bytes)
    elements = pool_elements(LAYOUT, torch.frombuffer(buffer, dtype=torch.uint8))
    elements.copy_(torch.arange(len(elements)))
    parts = [view for layer in map_pool(LAYOUT, elements) for view in (layer.keys, layer.values)]
    assert [tuple(part.shape) for part in parts] == [(6, 4, 2, 8), (6, 4, 2, 8), (6, 4, 1, 16), (6, 4, 1, 4)]
    assert torch.cat([part.flatten() for part in parts]).tolist() == list(range(len(elements)))
    assert np.frombuffer(buffer, np.float32).tolist() == elements.tolist()


def test_what_is_written_to_slots_is_read_from_pages() -> None:
    layer = map_pool(LAYOUT, pool_elements(LAYOUT, torch.zeros(LAYOUT.pool_bytes, dtype=torch.uint8)))[1]
    key, value = torch.randn(1, 1, 5, 16), torch.randn(1, 1, 5, 4)
    pages = torch.tensor([5, 2])
    layer.write(torch.tensor([20, 21, 22, 23, 8]), key, value)
    keys, values = layer.read(pages)
    assert torch.equal(keys[:, :, :5], key)
    assert torch.equal(values[:, :, :5], value)
    assert keys[:, :, 5:].abs().sum() == 0
