"""Owns segments of one process, without a store: for tests, and for an engine run on its own."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from splitwiser.kv.layout import PoolLayout
from splitwiser.memory.memfd import MemfdMapper
from splitwiser.memory.published import Published, open_segment, publish
from splitwiser.memory.segment import Made, Mapper, Segment


class LocalSegments:
    """Segments that live as long as this object or a mapping of theirs."""

    def __init__(self, mapper: Mapper | None = None) -> None:
        self._mapper = mapper or MemfdMapper()
        self._published: dict[str, Published] = {}
        self._one_maker: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def obtain(
        self,
        name: str,
        make: Callable[[], Made],
        *,
        layout: PoolLayout | None = None,
        mapper: Mapper | None = None,
    ) -> Segment:
        """As Segments has it; every call returns a mapping of its own."""
        mapper = mapper or self._mapper
        async with self._one_maker[name]:
            if name not in self._published:
                self._published[name] = publish(name, await asyncio.to_thread(make), layout, mapper)
        return open_segment(name, self._published[name], layout, mapper)

    def close(self) -> None:
        """Close the descriptors."""
        while self._published:
            self._published.popitem()[1].close()
