"""A decode worker that dies in mid-stream: each client's stream goes on with no token twice and none missing, or fails.

The sim engine's tokens are known from the prompt alone, so that any other token, and any gap, shows.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import pytest

from splitwiser.errors import DeadlineExceeded, WorkerLost
from splitwiser.rpc.client import Client
from splitwiser.stack import child
from splitwiser.v1.sampling_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP
from tests.support.stack import RunningStack, running_stack
from tests.support.streams import Stream, in_mid_stream, mixed_streams
from tests.support.waiting import until

PAGES = {"pages": 8192}
STEPS = {"prefill_us_per_token": 1.0, "decode_step_us": 3000.0, "decode_us_per_sequence": 1.0}


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running_stack(pool=PAGES, sim=STEPS, router={"listen": "127.0.0.1:0", "retries": 3}) as stack:
        yield stack


async def kill_decode(stack: RunningStack) -> None:
    """Kill it, and wait until another process serves in its place."""
    dead = stack.pid("decode-0")
    os.kill(dead, signal.SIGKILL)
    await until(lambda: stack.pid("decode-0") != dead and stack.is_ready("decode-0"), 20)


async def test_every_stream_goes_on_where_it_was(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        streams = mixed_streams(48, max_tokens=400)
        running = [asyncio.create_task(stream.run(client)) for stream in streams]
        await in_mid_stream(streams, 20)
        assert not any(stream.finish for stream in streams)
        await kill_decode(stack)
        await asyncio.gather(*running)
        for stream in streams:
            assert stream.error is None
            assert stream.tokens == await stream.expected(client)
            assert stream.finish
            assert stream.finish.reason == FINISH_REASON_LENGTH
            assert stream.finish.usage.completion_tokens == 400
            assert stream.finish.usage.prompt_tokens == len(await client.tokenize(stream.text))
    await stack.assert_nothing_is_left()


async def test_a_stop_string_is_found_where_it_would_have_been(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        whole = Stream("stop somewhere", 600)
        await whole.run(client)
        # What comes late and only once, so that the loss falls before it.
        stop = next(
            whole.answer[at : at + 3] for at in range(500, 590) if whole.answer.find(whole.answer[at : at + 3]) == at
        )
        stream = Stream("stop somewhere", 600, stop=[stop])
        running = asyncio.create_task(stream.run(client))
        await in_mid_stream([stream], 20)
        await kill_decode(stack)
        await running
    assert stream.finish
    assert stream.finish.reason == FINISH_REASON_STOP
    assert stream.answer == whole.answer[: whole.answer.index(stop)]
    await stack.assert_nothing_is_left()


async def test_two_losses_of_one_request(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        stream = Stream("twice", 800, temperature=0.7)
        running = asyncio.create_task(stream.run(client))
        for tokens in (10, 400):
            await in_mid_stream([stream], tokens)
            await kill_decode(stack)
        await running
        assert stream.error is None
        assert stream.tokens == await stream.expected(client)
    await stack.assert_nothing_is_left()


async def test_the_deadline_holds_while_there_is_no_decode_worker(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        stream = Stream("in a hurry", 8000, timeout_s=0.5)
        started_s = time.monotonic()
        running = asyncio.create_task(stream.run(client))
        await in_mid_stream([stream], 5)
        killed = asyncio.create_task(kill_decode(stack))
        await running
        assert isinstance(stream.error, DeadlineExceeded)
        assert time.monotonic() - started_s < 0.6
        await killed
    await stack.assert_nothing_is_left()


async def test_a_stream_fails_at_once_where_that_is_configured() -> None:
    with running_stack(router={"listen": "127.0.0.1:0", "on_decode_loss": "fail"}) as stack:
        async with Client(stack.address) as client:
            stream = Stream("mid-stream", 8000)
            running = asyncio.create_task(stream.run(client))
            await in_mid_stream([stream], 5)
            died_s = time.monotonic()
            killed = asyncio.create_task(kill_decode(stack))
            await running
            assert time.monotonic() - died_s < 1.0
            assert isinstance(stream.error, WorkerLost)
            assert f"after {len(stream.tokens)} tokens" in str(stream.error)
            assert stream.tokens == (await stream.expected(client))[: len(stream.tokens)]
            await killed
        await stack.assert_nothing_is_left()


@pytest.mark.slow
async def test_fifty_deaths_under_load(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time all streams have gone on to their end 5 s later at most."""
    # What dies this often would be started ever later; here it is the test that ends it, not its work.
    monkeypatch.setattr(child, "STEADY_S", 0.0)
    async with Client(stack.address) as client:
        for number in range(50):
            streams = mixed_streams(8, max_tokens=150 + number)
            running = [asyncio.create_task(stream.run(client)) for stream in streams]
            await in_mid_stream(streams, 10)
            started_s = time.monotonic()
            await kill_decode(stack)
            await asyncio.gather(*running)
            assert time.monotonic() - started_s < 5
            for stream in streams:
                assert stream.error is None
                assert stream.tokens == await stream.expected(client)
    await stack.assert_nothing_is_left()
