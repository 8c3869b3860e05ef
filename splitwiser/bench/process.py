"""Owns what the kernel says about a running process: its CPU time and its memory mappings (proc(5))."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of the process so far, ended ones too; in steps of a clock tick (10 ms)."""
    # The command's name stands in parentheses and may hold spaces and parentheses of its own.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S


@dataclass(frozen=True, slots=True)
class Mapping:
    """One line of smaps. inode 0 is anonymous memory; anonymous_bytes are pages that are this process's alone."""

    start: int
    end: int
    permissions: str
    inode: int
    name: str
    resident_bytes: int
    anonymous_bytes: int


def mappings(pid: int) -> Iterator[Mapping]:
    """The process's mappings in order of address. Raises OSError when it is gone or another user's."""
    head: list[str] = []
    sizes: dict[str, int] = {}
    for line in [*Path(f"/proc/{pid}/smaps").read_text().splitlines(), "0-0 ---p 0 00:00 0"]:
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            sizes[name] = int(value.split()[0]) * 1024
        elif "-" in line.split(maxsplit=1)[0]:
            if head:
                yield _mapping(head, sizes)
            head, sizes = line.split(maxsplit=5), {}


def _mapping(head: list[str], sizes: dict[str, int]) -> Mapping:
    start, end = (int(address, 16) for address in head[0].split("-"))
    name = head[5].removesuffix(" (deleted)") if len(head) > 5 else ""
    return Mapping(start, end, head[1], int(head[4]), name, sizes.get("Rss", 0), sizes.get("Anonymous", 0))


def read_memory(pid: int, start: int, end: int) -> bytes:
    """Bytes of another process's memory; b"" where it cannot be read. Raises PermissionError if not allowed to look."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        try:
            memory.seek(start)
            return memory.read(end - start)
        except PermissionError:
            raise
        except OSError:
            return b""
