"""Tensors over segments of this machine's memory: they look at it itself, and keep it after the segment is closed."""

import gc

import torch

from splitwiser.engine.memory import HOST
from splitwiser.memory.local_segments import LocalSegments


async def test_a_tensor_keeps_the_memory_of_a_segment_that_was_closed() -> None:
    segments = LocalSegments()

    def fill(content: torch.Tensor) -> None:
        content.fill_(7)

    made = HOST.make("weights", 2**20, b"", fill)
    segment = await segments.obtain("weights", lambda: made)
    view = HOST.tensor(segment)[5:10]
    segment.close()
    segments.close()
    gc.collect()
    assert view.tolist() == [7] * 5
