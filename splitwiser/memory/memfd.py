"""Owns memory on a CPU: memfd segments, made once, sealed, and mapped by every worker (in smaps: splitwiser-NAME)."""

import fcntl
import json
import mmap
import os
from collections.abc import Callable
from dataclasses import asdict

from splitwiser.errors import StartupError
from splitwiser.kv.layout import PoolLayout
from splitwiser.memory.machine import available_bytes
from splitwiser.memory.segment import Made

NAME_PREFIX = "splitwiser-"
F_SEAL_FUTURE_WRITE = 0x10
"""linux/fcntl.h; Python names it from 3.13 on. Mappings that exist stay writable, no new one is."""
SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def make(
    name: str, size_bytes: int, *, manifest: bytes = b"", fill: Callable[[memoryview], None] | None = None
) -> Made:
    """A new zeroed segment, filled through fill. Raises StartupError when the memory is not there."""
    if fill:
        _check_available(name, size_bytes)
    fd = os.memfd_create(NAME_PREFIX + name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size_bytes)
        if fill:
            with mmap.mmap(fd, size_bytes) as mapping, memoryview(mapping) as view:
                fill(view)
    except OSError as error:
        os.close(fd)
        raise StartupError(f"no {size_bytes} bytes for {name}: {error.strerror}", help="free some memory") from error
    except BaseException:
        os.close(fd)
        raise
    return Made(fd, size_bytes, manifest)


def make_pool(layout: PoolLayout, name: str = "pool") -> Made:
    """A zeroed KV pool of this layout; its manifest is the layout as JSON."""
    return make(name, layout.pool_bytes, manifest=json.dumps(asdict(layout)).encode())


def from_bytes(name: str, content: bytes) -> int:
    """A sealed memfd with this content, which nobody can change."""
    fd = os.memfd_create(NAME_PREFIX + name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SIZE_SEALS | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
    return fd


def _check_available(name: str, size_bytes: int) -> None:
    """Linux gives memory out that it does not have, and ends whoever then writes to it."""
    available = available_bytes()
    if size_bytes > available:
        raise StartupError(
            f"{name} takes {size_bytes / 2**30:.1f} GiB of memory here and {available / 2**30:.1f} GiB are free",
            help="stop what else runs here, give the container more memory, or take a smaller model",
        )


class MemfdMapper:
    """Seals and maps memfds: the CPU's Mapper."""

    def seal(self, fd: int, *, writable: bool) -> None:
        """Fix the size for good, and unless writable, let nobody map it for writing any more."""
        seals = SIZE_SEALS if writable else SIZE_SEALS | F_SEAL_FUTURE_WRITE
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_SEAL)

    def map(self, fd: int, size_bytes: int, *, writable: bool) -> memoryview:
        """The segment as bytes. Raises StartupError unless the memory is there and cannot shrink under the mapping."""
        sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SIZE_SEALS == SIZE_SEALS
        if not sealed or os.fstat(fd).st_size != size_bytes:
            raise StartupError("the store's segment is not sealed, or of another size", help="restart the stack")
        protection = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        return memoryview(mmap.mmap(fd, size_bytes, mmap.MAP_SHARED, protection))
