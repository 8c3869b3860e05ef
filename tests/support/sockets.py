"""Owns folders short enough for unix sockets, and what a process holds open."""

import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A private folder with a short path; pytest's own may be too long for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as folder:
        yield Path(folder)


def open_fds() -> dict[int, str]:
    """The file descriptors that this process has open, and what each is."""
    links = {}
    for link in Path("/proc/self/fd").iterdir():
        # The descriptor that listed the folder is gone by now.
        with suppress(FileNotFoundError):
            links[int(link.name)] = str(link.readlink())
    return links


_given: set[int] = set()


def free_port() -> int:
    """A TCP port that nobody has, another one each time, and that the system gives to nobody by itself: those are
    higher ones."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            if port not in _given:
                _given.add(port)
                return port
    raise AssertionError("no free port")
