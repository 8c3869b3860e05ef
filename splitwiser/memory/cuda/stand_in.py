"""Owns addresses that stand in for a segment while an engine starts, and become the segment's afterwards.

An engine that warms up writes to its cache wherever it likes, and what it captures (CUDA graphs) keeps addresses. So
it first gets a little memory that is mapped again and again until it is as long as the segment; then the segment is
mapped at the same addresses. Nothing that happened before can have reached it.
"""

from collections.abc import Iterable

from splitwiser.memory.cuda.device import Device
from splitwiser.memory.cuda.mapping import Addresses

SCRATCH_BYTES = 64 * 2**20
"""Of one piece: a multiple of any granularity, small against a pool, and large enough that few mappings make one up."""


class StandIn(Addresses):
    """size_bytes of addresses over scratch memory, until become is called."""

    def __init__(self, device: Device, size_bytes: int) -> None:
        super().__init__(device, size_bytes)
        # Memory is mapped whole or not at all, so what the pieces leave over has memory of its own.
        whole_bytes = self.mapped_bytes // SCRATCH_BYTES * SCRATCH_BYTES
        if whole_bytes:
            self._fill(range(0, whole_bytes, SCRATCH_BYTES), SCRATCH_BYTES)
        if whole_bytes < self.mapped_bytes:
            self._fill([whole_bytes], self.mapped_bytes - whole_bytes)
        self.allow(writable=True)

    def _fill(self, offsets: Iterable[int], piece_bytes: int) -> None:
        device = self.device
        with device.current():
            created = device.driver.cuMemCreate(piece_bytes, device.properties(), 0)
            handle = device.call("take GPU memory to warm up in", created)
            try:
                for offset in offsets:
                    self.map(handle, piece_bytes, offset=offset)
            finally:
                # The mappings hold the memory from here on.
                device.call("release the handle", device.driver.cuMemRelease(handle))

    def become(self, segment: Addresses) -> None:
        """Map the segment's memory here instead, for writing. It may be unmapped at its own addresses afterwards."""
        assert segment.mapped_bytes == self.mapped_bytes, (segment.mapped_bytes, self.mapped_bytes)
        device = self.device
        self.unmap()
        with device.current():
            retained = device.driver.cuMemRetainAllocationHandle(segment.address)
            handle = device.call("find the segment's memory", retained)
            try:
                self.map(handle, self.mapped_bytes)
                self.allow(writable=True)
            finally:
                device.call("release the handle", device.driver.cuMemRelease(handle))
