"""Weights of which a part is on the host: one copy of both parts, mapped by whoever starts, refused to a stranger."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.bench.footprint import WEIGHTS_NAMES, weights_footprint
from splitwiser.bench.process import mappings
from splitwiser.rpc.client import Client
from splitwiser.store.client import StoreClient
from tests.support.live_pool import all_tokens_of, request, restart
from tests.support.stack import RunningStack, running_stack

# More than the embedding table's 256 KiB, so a matrix is there as well, and less than all.
OFFLOAD_GIB = 0.0005
WORKERS = ("prefill-0", "decode-0")


@pytest.fixture(scope="module")
def offloaded(tiny_llama: str) -> Iterator[RunningStack]:
    engine = {"kind": "vllm", "model": tiny_llama, "weight_offload_gib": OFFLOAD_GIB}
    with running_stack(engine=engine, pool={"pages": 256}) as stack:
        yield stack


def weights_of(pid: int) -> dict[str, tuple[int, int]]:
    """By segment: inode and size of what the process maps."""
    return {each.name: (each.inode, each.end - each.start) for each in mappings(pid) if each.name in WEIGHTS_NAMES}


async def test_both_workers_map_one_copy_in_two_parts(offloaded: RunningStack) -> None:
    pids = [offloaded.pid(worker) for worker in WORKERS]
    prefill, decode = (weights_of(pid) for pid in pids)
    assert prefill == decode
    assert sorted(prefill) == sorted(WEIGHTS_NAMES)
    _, host_bytes = prefill[WEIGHTS_NAMES[1]]
    assert OFFLOAD_GIB * 2**30 <= host_bytes < 2 * OFFLOAD_GIB * 2**30
    assert weights_footprint(pids).weight_copies == 1


async def test_the_embedding_is_on_the_host_and_the_head_is_not(offloaded: RunningStack) -> None:
    """Of the one a step reads a row for each of its tokens, of the other everything."""
    socket = offloaded.settings.run_dir / offloaded.settings.store.socket
    observer = await StoreClient.connect(socket, "observer", "test", beat_s=offloaded.settings.store.beat_s)
    segment = await observer.obtain("weights", lambda: pytest.fail("made twice"))
    entries = json.loads(segment.manifest)["entries"]
    segment.close()
    await observer.close()
    assert entries["model.embed_tokens.weight"]["segment"] == "weights-host"
    assert entries["lm_head.weight"]["segment"] == "weights"


@pytest.mark.parametrize("instance", WORKERS)
async def test_a_worker_that_starts_again_maps_both_parts(offloaded: RunningStack, instance: str) -> None:
    prompts = [request(number, 70, 30) for number in range(4)]
    before = weights_of(offloaded.pid(instance))
    async with Client(offloaded.address) as client:
        answers = await all_tokens_of(client, prompts)
        await restart(offloaded, instance)
        assert weights_of(offloaded.pid(instance)) == before
        assert await all_tokens_of(client, prompts) == answers


async def test_a_worker_with_another_part_on_the_host_does_not_start(offloaded: RunningStack, tmp_path: Path) -> None:
    settings = offloaded.settings
    engine = settings.engine.model_copy(update={"weight_offload_gib": 0.0})
    config = tmp_path / "config.json"
    config.write_text(settings.model_copy(update={"engine": engine}).model_dump_json())
    flags = ("--config", str(config), "--instance", "decode-9", "--listen", f"unix:{settings.run_dir}/other.sock")
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "services.decode", *flags), stderr=asyncio.subprocess.PIPE
    )
    _, said = await worker.communicate()
    assert worker.returncode
    assert f"with {OFFLOAD_GIB:g} GiB on the host, this worker is to run {engine.model}" in said.decode()
