"""Owns the view of a segment as a tensor."""

import warnings

import torch

from splitwiser.memory.segment import Segment


def bytes_of(segment: Segment) -> torch.Tensor:
    """The segment's memory: [size_bytes], int8. Writing to a segment that is not a pool is a fault."""
    with warnings.catch_warnings():
        # torch warns of what is wanted here: memory that nobody can write to.
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        return torch.frombuffer(segment.buffer, dtype=torch.int8)
