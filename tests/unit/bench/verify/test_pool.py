"""The pool seen from outside: a real memfd of a process that keeps it, in both orders of pages."""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from splitwiser.bench.verify.pool import pool_view
from splitwiser.engine.sim.pages import sim_layout
from splitwiser.errors import StartupError
from splitwiser.kv.layout import LayerShape, PoolLayout
from splitwiser.memory import memfd

BY_PAGE = sim_layout(pages=5, page_tokens=4)
WHOLE_LAYERS = PoolLayout(
    "m", "float32", 4, pages=5, layers=(LayerShape(2, 8, 4),) * 3, order="layer,page,head,token,kv+dim", scratch_pages=1
)
BY_LAYER = PoolLayout("m", "float32", page_tokens=4, pages=5, layers=(LayerShape(2, 8, 4), LayerShape(1, 6, 6)))


@contextmanager
def kept(layout: PoolLayout) -> Iterator[mmap.mmap]:
    """The memory of a pool whose descriptors this process keeps, as a store does."""
    made = memfd.make_pool(layout)
    manifest_fd = memfd.from_bytes("pool.manifest", made.manifest)
    try:
        with mmap.mmap(made.data_fd, made.size_bytes) as buffer:
            yield buffer
    finally:
        os.close(made.data_fd)
        os.close(manifest_fd)


@pytest.mark.parametrize("layout", [BY_PAGE, BY_LAYER])
def test_the_layout_and_every_write_are_seen(layout: PoolLayout) -> None:
    with kept(layout) as buffer, pool_view(os.getpid()) as view:
        assert view.layout == layout
        assert view.written_pages() == set()
        buffer[0] = buffer[-1] = 1
        assert view.written_pages() == {0, layout.pages - 1}


def test_a_page_has_a_piece_in_every_layer() -> None:
    pages, kv_bytes = BY_LAYER.pages, BY_LAYER.page_tokens * 4
    values_start = pages * kv_bytes * 2 * 8
    second_layer = values_start + pages * kv_bytes * 2 * 4
    for start, head_elements in ((0, 16), (values_start, 8), (second_layer, 6)):
        with kept(BY_LAYER) as buffer, pool_view(os.getpid()) as view:
            buffer[start + 3 * kv_bytes * head_elements] = 1
            assert view.written_pages() == {3}


def test_zeroing_reaches_the_keepers_memory() -> None:
    with kept(BY_PAGE) as buffer, pool_view(os.getpid()) as view:
        buffer[:] = os.urandom(len(buffer))
        view.zero()
        assert bytes(buffer) == bytes(len(buffer))


def test_a_process_without_a_pool_is_no_store() -> None:
    with pytest.raises(StartupError, match="keeps no pool"), pool_view(os.getpid()):
        pass


def test_what_lies_before_page_0_of_a_layer_is_nobodys() -> None:
    layer_bytes = WHOLE_LAYERS.pool_bytes // 3
    page_bytes = WHOLE_LAYERS.page_bytes // 3
    with kept(WHOLE_LAYERS) as buffer, pool_view(os.getpid()) as view:
        view.fill(7)
        for layer in range(3):
            buffer[layer * layer_bytes : layer * layer_bytes + page_bytes] = bytes(page_bytes)
        assert view.written_pages() == set()
        buffer[layer_bytes + page_bytes] = buffer[-1] = 0
        assert view.written_pages() == {0, 4}
