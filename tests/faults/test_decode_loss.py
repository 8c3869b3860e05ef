"""A decode worker that dies in mid-stream: each client's stream goes on with no token twice and none missing, or fails.

The sim engine's tokens are known from the prompt alone, so that any other token, and any gap, shows.
"""

import asyncio
import time
from collections.abc import Iterator
from statistics import median

import pytest

from splitwiser.errors import DeadlineExceeded, WorkerLost
from splitwiser.rpc.client import Client
from splitwiser.stack import child
from splitwiser.v1.sampling_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP
from tests.support.stack import RunningStack, running_stack
from tests.support.streams import Stream, in_mid_stream, mixed_streams

PAGES = {"pages": 8192}
STEPS = {"prefill_us_per_token": 1.0, "decode_step_us": 3000.0, "decode_us_per_sequence": 1.0}


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running_stack(pool=PAGES, sim=STEPS, router={"listen": "127.0.0.1:0", "retries": 3}) as stack:
        yield stack


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies is away for seconds."""
    monkeypatch.setattr(child, "STEADY_S", float("inf"))
    monkeypatch.setattr(child, "FIRST_BACKOFF_S", 6.0)


async def test_every_stream_goes_on_where_it_was(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        streams = mixed_streams(24, max_tokens=1000)
        running = [asyncio.create_task(stream.run(client)) for stream in streams]
        await in_mid_stream(streams, 20)
        assert not any(stream.finish for stream in streams)
        await stack.replace("decode-0")
        await asyncio.gather(*running)
        for stream in streams:
            assert stream.error is None
            assert stream.tokens == await stream.expected(client)
            assert stream.finish
            assert stream.finish.reason == FINISH_REASON_LENGTH
            assert stream.finish.usage.completion_tokens == 1000
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
        await stack.replace("decode-0")
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
            await stack.replace("decode-0")
        await running
        assert stream.error is None
        assert stream.tokens == await stream.expected(client)
    await stack.assert_nothing_is_left()


async def test_the_deadline_holds_while_there_is_no_decode_worker(stack: RunningStack, away: None) -> None:
    async with Client(stack.address) as client:
        stream = Stream("in a hurry", 8000, timeout_s=3)
        running = asyncio.create_task(stream.run(client))
        await in_mid_stream([stream], 5)
        dead = stack.kill("decode-0")
        await running
        assert isinstance(stream.error, DeadlineExceeded)
        assert not stack.is_back("decode-0", dead), "it came back too early to prove anything"
        await stack.back("decode-0", dead)
    await stack.assert_nothing_is_left()


async def test_a_stream_fails_at_once_where_that_is_configured(away: None) -> None:
    with running_stack(router={"listen": "127.0.0.1:0", "on_decode_loss": "fail"}) as stack:
        async with Client(stack.address) as client:
            stream = Stream("mid-stream", 8000)
            running = asyncio.create_task(stream.run(client))
            await in_mid_stream([stream], 5)
            dead = stack.kill("decode-0")
            await running
            assert not stack.is_back("decode-0", dead), "it waited for the next one"
            assert isinstance(stream.error, WorkerLost)
            assert f"after {len(stream.tokens)} tokens" in str(stream.error)
            assert stream.tokens == (await stream.expected(client))[: len(stream.tokens)]
            await stack.back("decode-0", dead)
        await stack.assert_nothing_is_left()


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_fifty_deaths_under_load(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """All streams go on to their end, which they have reached 5 s later. A single time may be the machine's."""
    # What dies this often would be started ever later; here it is the test that ends it, not its work.
    monkeypatch.setattr(child, "STEADY_S", 0.0)
    took_s = list[float]()
    async with Client(stack.address) as client:
        for number in range(50):
            streams = mixed_streams(8, max_tokens=150 + number)
            running = [asyncio.create_task(stream.run(client)) for stream in streams]
            await in_mid_stream(streams, 10)
            started_s = time.monotonic()
            await stack.replace("decode-0")
            await asyncio.gather(*running)
            took_s.append(time.monotonic() - started_s)
            for stream in streams:
                assert stream.error is None
                assert stream.tokens == await stream.expected(client)
    await stack.assert_nothing_is_left()
    assert median(took_s) < 5
