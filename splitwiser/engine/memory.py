"""Owns where an engine's weights and pool lie: in this machine's memory or a GPU's, as segments and as tensors."""

import gc
import warnings
from collections.abc import Callable
from typing import Protocol

import torch

from splitwiser.kv.layout import PoolLayout
from splitwiser.memory import memfd
from splitwiser.memory.memfd import MemfdMapper
from splitwiser.memory.segment import Made, Mapper, Segment


class Memory(Protocol):
    """A device's memory."""

    @property
    def device(self) -> torch.device: ...

    def make(self, name: str, size_bytes: int, manifest: bytes, fill: Callable[[torch.Tensor], None]) -> Made:
        """A new segment, filled through a tensor of its bytes, [size_bytes], which fill may not keep."""

    def make_pool(self, layout: PoolLayout) -> Made:
        """A zeroed KV pool."""

    def tensor(self, segment: Segment) -> torch.Tensor:
        """The segment's bytes, [size_bytes], not copied. Views of them keep the segment mapped."""

    def host_tensor(self, segment: Segment) -> torch.Tensor:
        """The bytes of a segment of this machine's memory, as fast to copy from and to as the device can."""

    def stand_in(self, segment: Segment) -> tuple[torch.Tensor, Callable[[], None]]:
        """Bytes that become the segment's, [size_bytes], and the call that makes them so.

        Before that call, what is written to them reaches no other process, and what is read is of no meaning.
        """

    @property
    def in_place_mapper(self) -> Mapper:
        """Of segments in this machine's memory that read_in_place is for."""

    def read_in_place(self, segment: Segment) -> torch.Tensor:
        """The bytes of a segment of this machine's memory, not copied, as a tensor of the device."""

    def trim(self) -> None:
        """Give the device back what torch holds for later and no tensor uses."""

    def take_workspace(self) -> None:
        """Take what matrix products work in, which stays for as long as this process, before anything larger comes.

        Later it would be put into memory that something large has left, and trim could not give that back.
        """


class HostMemory:
    """Memory that a CPU computes on."""

    device = torch.device("cpu")

    def make(self, name: str, size_bytes: int, manifest: bytes, fill: Callable[[torch.Tensor], None]) -> Made:
        return memfd.make(name, size_bytes, manifest=manifest, fill=lambda view: fill(_bytes_of(view)))

    def make_pool(self, layout: PoolLayout) -> Made:
        return memfd.make_pool(layout)

    def tensor(self, segment: Segment) -> torch.Tensor:
        return _bytes_of(segment.buffer)

    def host_tensor(self, segment: Segment) -> torch.Tensor:
        return self.tensor(segment)

    def stand_in(self, segment: Segment) -> tuple[torch.Tensor, Callable[[], None]]:
        """The segment itself: nothing that runs on a CPU warms up."""
        return self.tensor(segment), lambda: None

    @property
    def in_place_mapper(self) -> Mapper:
        return MemfdMapper()

    def read_in_place(self, segment: Segment) -> torch.Tensor:
        return self.tensor(segment)

    def trim(self) -> None:
        """Nothing: torch holds no memory of a CPU for later."""

    def take_workspace(self) -> None:
        """Nothing: it is not torch that gives it on a CPU."""


class GpuMemory:
    """Memory of the GPU. CUDA is loaded with this class's first use."""

    device = torch.device("cuda", 0)

    def make(self, name: str, size_bytes: int, manifest: bytes, fill: Callable[[torch.Tensor], None]) -> Made:
        from splitwiser.memory.cuda import segments, tensors

        return segments.make(name, size_bytes, manifest=manifest, fill=lambda memory: fill(tensors.as_tensor(memory)))

    def make_pool(self, layout: PoolLayout) -> Made:
        from splitwiser.memory.cuda import segments

        return segments.make_pool(layout)

    def tensor(self, segment: Segment) -> torch.Tensor:
        from splitwiser.memory.cuda.mapping import CudaMemory
        from splitwiser.memory.cuda.tensors import as_tensor

        assert isinstance(segment.memory, CudaMemory), segment.name
        return as_tensor(segment.memory)

    def host_tensor(self, segment: Segment) -> torch.Tensor:
        from splitwiser.memory.cuda.pin import pin

        content = _bytes_of(segment.buffer)
        pin(content.data_ptr(), content.nbytes)
        return content

    def stand_in(self, segment: Segment) -> tuple[torch.Tensor, Callable[[], None]]:
        from splitwiser.memory.cuda.device import open_device
        from splitwiser.memory.cuda.mapping import CudaMemory
        from splitwiser.memory.cuda.stand_in import StandIn
        from splitwiser.memory.cuda.tensors import as_tensor

        memory = segment.memory
        assert isinstance(memory, CudaMemory), segment.name
        stand_in = StandIn(open_device(), memory.nbytes)

        def become() -> None:
            stand_in.become(memory.range)
            segment.close()

        return as_tensor(CudaMemory(stand_in)), become

    @property
    def in_place_mapper(self) -> Mapper:
        from splitwiser.memory.cuda.in_place import PinnableMapper

        return PinnableMapper()

    def read_in_place(self, segment: Segment) -> torch.Tensor:
        from splitwiser.memory.cuda.device import open_device
        from splitwiser.memory.cuda.in_place import PinnedRange
        from splitwiser.memory.cuda.tensors import tensor_over

        content = HOST.tensor(segment)
        return tensor_over(PinnedRange(open_device(), content.data_ptr(), content.nbytes, content))

    def trim(self) -> None:
        gc.collect()
        torch.cuda.empty_cache()

    def take_workspace(self) -> None:
        one = torch.ones(1, 1, dtype=torch.bfloat16, device=self.device)
        torch.mm(one, one)


HOST = HostMemory()


def memory_of(device: str) -> Memory:
    """The memory of "cpu" or "cuda"."""
    return GpuMemory() if device == "cuda" else HOST


def _bytes_of(buffer: memoryview) -> torch.Tensor:
    with warnings.catch_warnings():
        # torch warns of what is wanted here: memory that nobody can write to.
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        # torch keeps what it is given, but does not hold it open: a view of its own stays when the segment is closed.
        return torch.frombuffer(memoryview(buffer), dtype=torch.uint8)
