"""Owns a worker's way to a segment: mapped if the store has it, else made and published."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from splitwiser.kv.layout import PoolLayout
from splitwiser.memory.published import Published, open_segment, publish
from splitwiser.memory.segment import Made, Mapper, Segment
from splitwiser.store.calls import Calls
from splitwiser.v1.store_pb2 import ObtainSegment, PublishSegment, StoreRequest


class StoreSegments:
    """Segments of the store at the other end of calls.

    The store knows of a maker that fails only by the end of its connection: so a make that fails, or a wait that is
    cancelled, ends it, and the next worker in line becomes the maker.
    """

    def __init__(self, calls: Calls, mapper: Mapper) -> None:
        self._calls = calls
        self._mapper = mapper

    async def obtain(
        self, name: str, make: Callable[[], Made], *, layout: PoolLayout | None = None, mapper: Mapper | None = None
    ) -> Segment:
        """As Segments has it. mapper: of another memory than the worker's device."""
        mapper = mapper or self._mapper
        with self._leaving_on(asyncio.CancelledError):
            reply = await self._calls.call(StoreRequest(obtain_segment=ObtainSegment(name=name)))
        segment = reply.body.segment
        if segment.present:
            published = Published(reply.fds[0], reply.fds[1], segment.size_bytes, segment.layout_hash)
        else:
            with self._leaving_on(BaseException):
                published = await self._make(name, make, layout, mapper)
        try:
            return open_segment(name, published, layout, mapper)
        finally:
            published.close()

    async def _make(self, name: str, make: Callable[[], Made], layout: PoolLayout | None, mapper: Mapper) -> Published:
        # In a thread, because the lease is beaten on this one.
        published = publish(name, await asyncio.to_thread(make), layout, mapper)
        verb = PublishSegment(
            name=name,
            size_bytes=published.size_bytes,
            pages=layout.pages if layout else 0,
            layout_hash=published.layout_hash,
        )
        try:
            await self._calls.call(StoreRequest(publish_segment=verb), published.fds)
        except BaseException:
            published.close()
            raise
        return published

    @contextmanager
    def _leaving_on(self, kind: type[BaseException]) -> Iterator[None]:
        try:
            yield
        except kind:
            self._calls.lose()
            raise
