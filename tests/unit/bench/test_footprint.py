"""Footprint: real processes that map, copy or privately change real weights segments."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from splitwiser.bench.footprint import weights_footprint
from splitwiser.bench.process import cpu_seconds

WEIGHT_BYTES = 3 * 2**20

WORKER = """
import mmap, sys
fd, what = int(sys.argv[1]), sys.argv[2]
mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
if what == "copies":
    kept = [mapped[i : i + 100_000] for i in range(0, len(mapped), 100_000)]
if what == "copies a little":
    kept = mapped[: len(mapped) // 4]
if what == "makes private":
    kept = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    for page in range(0, len(kept), 4096):
        kept[page] = 1
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def weights() -> Iterator[int]:
    with segment() as fd:
        yield fd


@contextmanager
def segment(name: str = "weights") -> Iterator[int]:
    fd = os.memfd_create(f"splitwiser-{name}")
    os.write(fd, os.urandom(WEIGHT_BYTES // 2) + bytes(WEIGHT_BYTES // 2))
    yield fd
    os.close(fd)


@contextmanager
def worker(fd: int, what: str = "maps") -> Iterator[int]:
    command = [sys.executable, "-c", WORKER, str(fd), what]
    with subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate()


def test_a_segment_that_two_workers_map_is_one_copy(weights: int) -> None:
    with worker(weights) as prefill, worker(weights) as decode:
        footprint = weights_footprint([prefill, decode])
    assert (footprint.weight_copies, footprint.segments, footprint.private) == (1, 1, ())
    assert footprint.weight_bytes == WEIGHT_BYTES


@pytest.mark.parametrize("how", ["copies", "makes private"])
def test_a_worker_with_the_bytes_to_itself_is_another_copy(weights: int, how: str) -> None:
    with worker(weights) as prefill, worker(weights, how) as decode:
        footprint = weights_footprint([prefill, decode])
    assert (footprint.weight_copies, footprint.private) == (2, (decode,))


def test_a_few_bytes_of_the_weights_are_no_copy(weights: int) -> None:
    with worker(weights, "copies a little") as decode:
        assert weights_footprint([decode]).weight_copies == 1


def test_two_segments_are_two_copies() -> None:
    with ExitStack() as stack:
        pids = [stack.enter_context(worker(stack.enter_context(segment()))) for _ in range(2)]
        assert weights_footprint(pids).weight_copies == 2


@pytest.fixture
def on_host() -> Iterator[int]:
    with segment("weights-host") as fd:
        yield fd


def test_a_part_on_the_host_and_the_rest_are_one_copy(weights: int, on_host: int) -> None:
    with worker(weights) as prefill, worker(on_host) as decode:
        footprint = weights_footprint([prefill, decode])
    assert (footprint.weight_copies, footprint.segments, footprint.weight_bytes) == (1, 1, 2 * WEIGHT_BYTES)


def test_a_second_segment_of_either_part_is_another_copy(weights: int, on_host: int) -> None:
    with segment("weights-host") as again, ExitStack() as stack:
        pids = [stack.enter_context(worker(fd)) for fd in (weights, on_host, again)]
        assert weights_footprint(pids).weight_copies == 2


@pytest.mark.parametrize("how", ["copies", "makes private"])
def test_a_private_copy_of_one_part_is_another_copy(weights: int, on_host: int, how: str) -> None:
    with worker(weights) as prefill, worker(on_host, how) as decode:
        footprint = weights_footprint([prefill, decode])
    assert (footprint.weight_copies, footprint.private) == (2, (decode,))


def test_workers_without_weights_have_none() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert weights_footprint([process.pid]).weight_copies == 0
        process.communicate()


def test_cpu_seconds_count_work_and_not_sleep() -> None:
    start = cpu_seconds(os.getpid())
    time.sleep(0.2)
    slept = cpu_seconds(os.getpid())
    deadline = time.thread_time() + 0.3
    while time.thread_time() < deadline:
        pass
    assert slept - start < 0.1
    assert cpu_seconds(os.getpid()) - slept == pytest.approx(0.3, abs=0.1)


def test_a_process_that_is_gone_is_an_error() -> None:
    assert not Path("/proc/99999999").exists()
    with pytest.raises(FileNotFoundError):
        weights_footprint([99_999_999])
