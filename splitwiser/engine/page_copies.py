"""Owns the copying of pages between a pool of tensors and host pages, on a GPU at the speed of its bus."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from splitwiser.kv.host_index import Copies
from splitwiser.kv.layout import PoolLayout

STAGING_BYTES = 64 * 2**20
"""Most memory of the device that a save has for pages on their way, and a load as much."""


class TensorCopier:
    """A PageCopier. pool, host: the bytes of both, [layout.pool_bytes] and [host pages * layout.page_bytes].

    A page's parts lie apart in the pool and together in a host page: they are gathered, or spread, on the device, so
    that one long copy a page goes over the bus.
    """

    def __init__(self, layout: PoolLayout, pool: torch.Tensor, host: torch.Tensor) -> None:
        self._page_bytes = layout.page_bytes
        # A GPU moves eight bytes as fast as one.
        word = torch.int64 if all(part.page_bytes % 8 == 0 for part in layout.parts) else torch.uint8
        self._host = host.view(-1, layout.page_bytes).view(word)
        self._parts = [
            pool[part.offset_bytes :][: layout.pages * part.page_bytes].view(layout.pages, -1).view(word)
            for part in layout.parts
        ]
        self._widths = [part.shape[1] for part in self._parts]
        cuda = pool.is_cuda
        self._saving, self._loading = (torch.cuda.Stream(pool.device) if cuda else None for _ in range(2))

    @torch.inference_mode()
    def save(self, copies: Copies) -> None:
        """Pages to host pages."""
        with _over_at_its_end(self._saving):
            for pages, host_pages in self._batches(copies):
                staging = self._staging(pages)
                for part, content in zip(self._parts, staging.split(self._widths, dim=1), strict=True):
                    content.copy_(part.index_select(0, pages))
                for content, host_page in zip(staging, host_pages, strict=True):
                    self._host[host_page].copy_(content, non_blocking=True)

    @torch.inference_mode()
    def load(self, copies: Copies) -> None:
        """Host pages to pages."""
        with _over_at_its_end(self._loading):
            for pages, host_pages in self._batches(copies):
                staging = self._staging(pages)
                for content, host_page in zip(staging, host_pages, strict=True):
                    content.copy_(self._host[host_page], non_blocking=True)
                for part, content in zip(self._parts, staging.split(self._widths, dim=1), strict=True):
                    part.index_copy_(0, pages, content)

    def _batches(self, copies: Copies) -> Iterator[tuple[torch.Tensor, tuple[int, ...]]]:
        """Page numbers, on the device, and their host pages."""
        count = max(1, STAGING_BYTES // self._page_bytes)
        for start in range(0, len(copies.pages), count):
            pages = torch.tensor(copies.pages[start : start + count], device=self._parts[0].device)
            yield pages, copies.host_pages[start : start + count]

    def _staging(self, pages: torch.Tensor) -> torch.Tensor:
        """Room on the device for these pages, as the host has them."""
        return self._host.new_empty((len(pages), sum(self._widths)), device=pages.device)


@contextmanager
def _over_at_its_end(stream: "torch.cuda.Stream | None") -> Iterator[None]:
    """What the block starts goes to the stream, and is over when it ends, also by an error: then pages change hands."""
    if stream is None:
        yield
        return
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        stream.synchronize()
