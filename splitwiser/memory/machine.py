"""Owns how much of this machine's memory there is to take."""

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def available_bytes() -> int:
    """What can be taken without swapping; in a container no more than it may have in all."""
    fields = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.is_file() else "max"
    return available if limit == "max" else min(available, int(limit))
