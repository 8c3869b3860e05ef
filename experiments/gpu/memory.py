"""How long shared GPU memory takes to make, export, import and map, and what outlives whom: gpu-memory.json.

No torch and no store service: the maker's descriptor goes to this process over a pipe's end, the way the store has it.
"""

import argparse
import multiprocessing
import os
import signal
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from experiments.gpu.record import record

REPEATS = 5


def hold(sock: socket.socket, said: Connection, size_bytes: int) -> None:
    """The maker: makes a filled segment, sends its descriptor, and waits to be killed."""
    from splitwiser.memory.cuda.device import open_device
    from splitwiser.memory.cuda.segments import make
    from tests.gpu.segment_worker import fill

    open_device()
    started_s = time.perf_counter()
    made = make("pool", size_bytes, fill=lambda memory: fill(memory, 77))
    said.send(time.perf_counter() - started_s)
    socket.send_fds(sock, [b"x"], [made.data_fd])
    signal.pause()


def look(sock: socket.socket, said: Connection, size_bytes: int) -> None:
    """Another process: maps the descriptor that is sent to it, REPEATS times, and tells how long and what it reads."""
    from splitwiser.memory.cuda.device import open_device
    from splitwiser.memory.cuda.segments import CudaMapper
    from tests.gpu.segment_worker import ends

    open_device()
    _, (fd,), _, _ = socket.recv_fds(sock, 1, 1)
    times_s, found = [], []
    for _ in range(REPEATS):
        started_s = time.perf_counter()
        memory = CudaMapper().map(fd, size_bytes, writable=True)
        times_s.append(time.perf_counter() - started_s)
        found.append(ends(memory))
        memory.release()
    said.send((times_s, found))
    signal.pause()


def measure(size_bytes: int) -> dict[str, object]:
    """Make in one process, kill it, map in another; this one has no CUDA and keeps the descriptor."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = socket.socketpair()
    answer, said = context.Pipe()
    maker = context.Process(target=hold, args=(theirs, said, size_bytes))
    maker.start()
    made_s = answer.recv()
    _, (fd,), _, _ = socket.recv_fds(ours, 1, 1)
    assert maker.pid
    os.kill(maker.pid, signal.SIGKILL)
    maker.join()
    looker = context.Process(target=look, args=(theirs, said, size_bytes))
    looker.start()
    socket.send_fds(ours, [b"x"], [fd])
    times_s, found = answer.recv()
    looker.kill()
    looker.join()
    os.close(fd)
    return {
        "size_bytes": size_bytes,
        "make_zero_fill_export_ms": made_s * 1e3,
        "import_and_map_ms": [each * 1e3 for each in times_s],
        "import_and_map_median_ms": median(times_s) * 1e3,
        "bytes_read_after_the_maker_was_killed_are_right": found == [[77, 77]] * REPEATS,
        "holder_has_loaded_cuda": "libcuda" in Path("/proc/self/maps").read_text(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, nargs="+", default=[1.0, 8.0, 32.0])
    sizes = [int(gib * 2**30) for gib in parser.parse_args().gib]
    record("gpu-memory", [measure(size_bytes) for size_bytes in sizes])


if __name__ == "__main__":
    main()
