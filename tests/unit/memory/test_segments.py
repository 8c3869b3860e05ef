"""A segment is made once, mapped by all, fixed in size, and read-only unless it is the pool."""

import asyncio
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.errors import LayoutMismatch, StartupError
from splitwiser.kv.layout import LayerShape, PoolLayout
from splitwiser.memory import machine, memfd
from splitwiser.memory.cuda.in_place import PinnableMapper
from splitwiser.memory.local_segments import LocalSegments
from splitwiser.memory.memfd import MemfdMapper
from splitwiser.memory.segment import Made
from tests.support.sockets import open_fds

LAYOUT = PoolLayout("model", "float32", page_tokens=4, pages=8, layers=(LayerShape(2, 4, 4),))


@pytest.fixture
def segments() -> Iterator[LocalSegments]:
    segments = LocalSegments()
    yield segments
    segments.close()


def make_weights() -> Made:
    return memfd.make("weights", 5000, manifest=b"what is where", fill=lambda view: view.__setitem__(0, 7))


async def test_a_segment_is_made_once_however_many_ask(segments: LocalSegments) -> None:
    made = []

    def make() -> Made:
        made.append(1)
        return make_weights()

    mapped = await asyncio.gather(*(segments.obtain("weights", make) for _ in range(8)))
    assert len(made) == 1
    assert {(segment.buffer[0], segment.manifest, segment.size_bytes) for segment in mapped} == {
        (7, b"what is where", 5000)
    }


async def test_pool_writes_are_seen_by_every_mapping(segments: LocalSegments) -> None:
    one = await segments.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)
    other = await segments.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)
    assert one.size_bytes == LAYOUT.pool_bytes
    one.buffer[LAYOUT.pool_bytes - 1] = 9
    assert other.buffer[LAYOUT.pool_bytes - 1] == 9
    one.close()
    assert other.buffer[LAYOUT.pool_bytes - 1] == 9


async def test_weights_cannot_be_written_once_published(segments: LocalSegments) -> None:
    segment = await segments.obtain("weights", make_weights)
    assert segment.buffer.readonly
    with pytest.raises(TypeError):
        segment.buffer[0] = 1
    with pytest.raises(PermissionError):
        mmap.mmap(data_fd("weights"), 5000)


def data_fd(name: str) -> int:
    return next(fd for fd, target in open_fds().items() if target.startswith(f"/memfd:splitwiser-{name} "))


def smaps() -> str:
    return Path("/proc/self/smaps").read_text()


async def test_no_segment_can_be_resized_or_sealed_further(segments: LocalSegments) -> None:
    await segments.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)
    fd = data_fd("pool")
    for size in (0, LAYOUT.pool_bytes + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    with pytest.raises(PermissionError):
        MemfdMapper().seal(fd, writable=False)


async def test_a_worker_with_another_layout_is_refused(segments: LocalSegments) -> None:
    await segments.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)
    other = PoolLayout("model", "float32", page_tokens=8, pages=8, layers=LAYOUT.layers)
    with pytest.raises(LayoutMismatch, match=other.hash):
        await segments.obtain("pool", lambda: memfd.make_pool(other), layout=other)


def test_memory_that_could_shrink_under_its_mapping_is_not_mapped() -> None:
    made = memfd.make("weights", 5000)
    with pytest.raises(StartupError, match="not sealed"):
        MemfdMapper().map(made.data_fd, 5000, writable=True)
    MemfdMapper().seal(made.data_fd, writable=True)
    with pytest.raises(StartupError, match="another size"):
        MemfdMapper().map(made.data_fd, 6000, writable=True)
    os.close(made.data_fd)


def test_more_memory_than_there_is_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux would give it out, and end the maker in the middle."""
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CONTAINER_LIMIT", tmp_path / "memory.max")
    (tmp_path / "meminfo").write_text("MemTotal:  99 kB\nMemAvailable:    5 kB\n")
    os.close(make_weights().data_fd)
    for limit in ("max\n", "5000\n", "6000\n"):
        (tmp_path / "memory.max").write_text(limit)
        os.close(make_weights().data_fd)
    (tmp_path / "memory.max").write_text("4999\n")
    with pytest.raises(StartupError, match=r"weights takes .* GiB of memory here and .* are free"):
        make_weights()
    (tmp_path / "memory.max").unlink()
    (tmp_path / "meminfo").write_text("MemAvailable:    4 kB\n")
    with pytest.raises(StartupError, match="weights takes"):
        make_weights()


async def test_a_maker_may_obtain_another_segment(segments: LocalSegments) -> None:
    loop = asyncio.get_running_loop()

    def make_both() -> Made:
        other = asyncio.run_coroutine_threadsafe(segments.obtain("other", make_weights), loop).result(5)
        assert other.buffer[0] == 7
        return make_weights()

    assert (await segments.obtain("weights", make_both)).buffer[0] == 7


async def test_memory_for_a_gpu_to_read_is_one_copy_that_can_be_pinned(segments: LocalSegments) -> None:
    """A mapping for writing, which is what every driver pins; sizes stay fixed."""
    one, other = [await segments.obtain("weights-host", make_weights, mapper=PinnableMapper()) for _ in range(2)]
    assert not one.buffer.readonly
    one.buffer[1] = 9
    assert other.buffer[:2].tolist() == [7, 9]
    with pytest.raises(PermissionError):
        os.ftruncate(data_fd("weights"), 0)


async def test_a_maker_that_fails_leaves_no_descriptor_and_the_next_may_try(segments: LocalSegments) -> None:
    before = open_fds()

    def fail(view: memoryview) -> None:
        raise StartupError("no model", help="name one")

    for _ in range(3):
        with pytest.raises(StartupError, match="no model"):
            await segments.obtain("weights", lambda: memfd.make("weights", 5000, fill=fail))
    assert open_fds() == before
    await segments.obtain("weights", make_weights)
    segments.close()
    assert open_fds() == before


async def test_a_mapping_shows_its_name_in_smaps_and_goes_with_the_last_array(segments: LocalSegments) -> None:
    segment = await segments.obtain("weights", make_weights)
    segments.close()
    view = memoryview(segment.buffer)
    segment.close()
    assert "/memfd:splitwiser-weights (deleted)" in smaps()
    assert view[0] == 7
    view.release()
    segment.close()
    assert "splitwiser-weights" not in smaps()
