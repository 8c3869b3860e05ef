"""The wall clock jumps by an hour, forth and back: leases and deadlines run on a monotonic clock and notice nothing."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.rpc.client import Client
from splitwiser.telemetry.timeline import read_timeline
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import StopConditions
from tests.support.stack import RunningStack, running_stack
from tests.support.streams import in_mid_stream, mixed_streams
from tests.support.waiting import until

STEPS = {"prefill_us_per_token": 1.0, "decode_step_us": 5000.0, "decode_us_per_sequence": 1.0}
# Every Python process of the stack reads this at its start: from then on a file holds what its wall clock is off by.
JUMPING_CLOCK = """
import time
_time, _time_ns = time.time, time.time_ns

def _offset_s():
    try:
        with open({path!r}) as file:
            return int(file.read() or 0)
    except OSError:
        return 0

time.time = lambda: _time() + _offset_s()
time.time_ns = lambda: _time_ns() + _offset_s() * 10**9
"""


@pytest.fixture(scope="module")
def offset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write seconds there, and every process's wall clock jumps by them."""
    return tmp_path_factory.mktemp("clock") / "offset"


@pytest.fixture(scope="module")
def stack(offset: Path) -> Iterator[RunningStack]:
    folder = offset.parent
    (folder / "sitecustomize.py").write_text(JUMPING_CLOCK.format(path=str(offset)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
        with running_stack(sim=STEPS, store={"beat_s": 0.5, "lease_s": 10.0}) as stack:
            yield stack


def jump(offset: Path, hours: int) -> None:
    offset.write_text(str(hours * 3600))


async def test_nothing_expires_early_or_late(stack: RunningStack, offset: Path) -> None:
    pids = [stack.pid(instance) for instance in ("prefill-0", "decode-0", "router")]
    async with Client(stack.address) as client:
        streams = mixed_streams(12, max_tokens=500)
        running = [asyncio.create_task(stream.run(client)) for stream in streams]
        await in_mid_stream(streams, 5)
        for hours in (1, -1, 0):
            jump(offset, hours)
            await asyncio.sleep(0.7)
        await asyncio.gather(*running)
        for stream in streams:
            assert stream.error is None
            assert stream.tokens == await stream.expected(client)
    assert [stack.pid(instance) for instance in ("prefill-0", "decode-0", "router")] == pids
    await stack.assert_nothing_is_left()


async def test_the_clock_does_jump(stack: RunningStack, offset: Path) -> None:
    run_dir = stack.settings.run_dir
    before_ns = read_timeline(run_dir)[0].start_ns
    jump(offset, 24)
    async with Client(stack.address) as client:
        # Without a deadline: gRPC's own clock, which cannot be made to jump, would find that it has passed.
        async for _ in client.generate(GenerateRequest(text="tomorrow", stop=StopConditions(max_tokens=2))):
            pass
    await until(lambda: read_timeline(run_dir)[-1].start_ns - before_ns > 23 * 3600 * 10**9)
    jump(offset, 0)
