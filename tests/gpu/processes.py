"""Owns what tests ask of other processes."""

from pathlib import Path


def has_cuda(pid: int) -> bool:
    """Whether the process has loaded the driver's library."""
    return "libcuda.so" in Path(f"/proc/{pid}/maps").read_text()
