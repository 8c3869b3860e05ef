"""Owns the count of the weights' copies in memory, seen from outside the workers.

A copy is a distinct weights segment that some worker maps, or a worker whose other memory holds a segment's bytes. The
first comes from smaps: inodes behind the segment's name; one under each of two names is one copy in two parts. The
second comes from samples: windows of 64 bytes spread over a segment are looked for in all memory of a worker that is
not a file on disk, and more than half of them make a copy. Found is a mapping of the segment that was made private,
too; not found is a copy in another dtype or order.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from splitwiser.bench.process import Mapping, mappings, read_memory
from splitwiser.memory.memfd import NAME_PREFIX

WEIGHTS_NAMES = tuple(f"/memfd:{NAME_PREFIX}{name}" for name in ("weights", "weights-host"))
SAMPLES = 8
SAMPLE_BYTES = 64
# A window of fewer distinct bytes may be padding or a constant tensor, and those are everywhere.
DISTINCT_BYTES = 24
BLOCK_BYTES = 2**20
UNTOUCHED = bytes(BLOCK_BYTES + SAMPLE_BYTES)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Most weights segments of one name that are mapped, process ids with a copy of their own, all segments' size."""

    segments: int
    private: tuple[int, ...]
    weight_bytes: int

    @property
    def weight_copies(self) -> int:
        return self.segments + len(self.private)


def weights_footprint(pids: Sequence[int]) -> Footprint:
    """Copies of the weights over these processes. Raises OSError when one cannot be looked into."""
    weights = {pid: [m for m in mappings(pid) if m.name in WEIGHTS_NAMES] for pid in pids}
    sources = {mapping.inode: (pid, mapping) for pid, found in weights.items() for mapping in found}
    samples = [frozenset(_samples(pid, mapping)) for pid, mapping in sources.values()]
    private = tuple(pid for pid in pids if _made_private(weights[pid]) or _holds(pid, samples))
    segments = Counter(mapping.name for _, mapping in sources.values())
    size_bytes = sum(mapping.end - mapping.start for _, mapping in sources.values())
    return Footprint(max(segments.values(), default=0), private, size_bytes)


def _holds(pid: int, samples: Sequence[frozenset[bytes]]) -> bool:
    """Whether more than half of some segment's samples are in the process's memory outside of files and segments."""
    missing = frozenset[bytes]().union(*samples)
    for mapping in mappings(pid):
        if _may_hide_a_copy(mapping):
            for block in _blocks(pid, mapping):
                missing = frozenset(sample for sample in missing if sample not in block)
    return any(len(missing & each) * 2 < len(each) for each in samples)


def _may_hide_a_copy(mapping: Mapping) -> bool:
    shared_memory = mapping.name.startswith(("/memfd:", "/dev/shm/", "/dev/zero")) and mapping.resident_bytes > 0
    readable = mapping.permissions.startswith("r")
    return readable and mapping.name not in WEIGHTS_NAMES and (mapping.anonymous_bytes > 0 or shared_memory)


def _made_private(weights: Sequence[Mapping]) -> bool:
    return any(mapping.anonymous_bytes * 2 > mapping.end - mapping.start for mapping in weights)


def _blocks(pid: int, mapping: Mapping) -> Iterator[bytes]:
    # Blocks overlap by a sample, or one across the border would be missed. Much of a mapping was never touched.
    for start in range(mapping.start, mapping.end, BLOCK_BYTES):
        block = read_memory(pid, start, min(mapping.end, start + BLOCK_BYTES + SAMPLE_BYTES))
        if block != UNTOUCHED:
            yield block


def _samples(pid: int, mapping: Mapping) -> Sequence[bytes]:
    """Windows evenly over the segment, without those that say too little."""
    step = max(SAMPLE_BYTES, (mapping.end - mapping.start) // (4 * SAMPLES) // SAMPLE_BYTES * SAMPLE_BYTES)
    windows = (read_memory(pid, at, at + SAMPLE_BYTES) for at in range(mapping.start, mapping.end, step))
    telling = [window for window in windows if len(set(window)) >= DISTINCT_BYTES]
    return telling[:: max(1, len(telling) // SAMPLES)]
