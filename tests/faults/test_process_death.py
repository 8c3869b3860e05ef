"""A process that dies takes its own work with it and nothing else: pages come back, and so does the process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.errors import SplitwiserError
from splitwiser.rpc.client import Client
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.stack import RunningStack, running_stack
from tests.support.waiting import until

GREEDY = SamplingParams(temperature=0)
LONGEST = 8000
STEP_S = 2e-3
STEPS = {"prefill_us_per_token": 1.0, "decode_step_us": STEP_S * 1e6, "decode_us_per_sequence": 1.0}


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running_stack(sim=STEPS) as stack:
        yield stack


def endless(text: str, max_tokens: int = LONGEST) -> GenerateRequest:
    return GenerateRequest(text=text, sampling=GREEDY, stop=StopConditions(max_tokens=max_tokens, ignore_eos=True))


async def tokens_of(client: Client, request: GenerateRequest) -> list[int]:
    return [token_id async for message in client.generate(request, timeout_s=60) for token_id in message.token_ids]


def weights_inode(pid: int) -> str:
    """Which memory the process's weights are."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return next(line.split()[4] for line in lines if "splitwiser-weights" in line)


async def test_a_decode_worker_that_dies_serves_again_on_the_same_weights(stack: RunningStack) -> None:
    inode = weights_inode(stack.pid("decode-0"))
    dead = stack.kill("decode-0")
    async with Client(stack.address) as client:
        assert len(await tokens_of(client, endless("waits for it", 10))) == 10
    await stack.back("decode-0", dead)
    assert weights_inode(stack.pid("decode-0")) == inode, "mapped again, not loaded again"
    await stack.assert_nothing_is_left()


async def test_a_prefill_worker_that_dies_disturbs_no_decode(stack: RunningStack) -> None:
    inode = weights_inode(stack.pid("prefill-0"))
    async with Client(stack.address) as client:
        stream = client.generate(endless("goes on", 600), timeout_s=60)
        received = len((await anext(stream)).token_ids) + len((await anext(stream)).token_ids)
        dead = stack.kill("prefill-0")
        queued = asyncio.create_task(tokens_of(client, endless("queued meanwhile", 10)))
        async for message in stream:
            received += len(message.token_ids)
        assert received == 600
        assert len(await queued) == 10
    await stack.back("prefill-0", dead)
    assert weights_inode(stack.pid("prefill-0")) == inode
    await stack.assert_nothing_is_left()


async def test_prompts_in_a_dying_prefill_worker_are_prefilled_again(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        requests = [asyncio.create_task(tokens_of(client, endless("p" * 3000 + str(i), 5))) for i in range(8)]
        await asyncio.sleep(0.02)
        dead = stack.kill("prefill-0")
        assert [len(tokens) for tokens in await asyncio.gather(*requests)] == [5] * 8
    await stack.back("prefill-0", dead)
    await stack.assert_nothing_is_left()


async def test_a_router_that_dies_leaves_no_orphan(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        streams = [client.generate(endless(f"orphan {index}"), timeout_s=60) for index in range(5)]
        await asyncio.gather(*(anext(stream) for stream in streams))
        dead = stack.kill("router")
        for stream in streams:
            with pytest.raises(SplitwiserError):
                async for _ in stream:
                    pass
    # Long before an orphan would have come to its end.
    await until(lambda: stack.pages_in_use() == 0, LONGEST * STEP_S / 2)
    await stack.back("router", dead)
    async with Client(stack.address) as client:
        assert len(await tokens_of(client, endless("after", 5))) == 5


async def test_without_its_store_a_stack_takes_no_request_and_its_workers_say_why() -> None:
    with running_stack() as stack:
        stack.kill("store")
        logs = [stack.settings.run_dir / "logs" / f"{name}.log" for name in ("prefill-0", "decode-0")]
        await until(lambda: all("error: the store went away" in log.read_text() for log in logs))
        assert all("help: restart the stack" in log.read_text() for log in logs)
        async with Client(stack.address) as client:
            with pytest.raises(SplitwiserError) as refused:
                async for _ in client.generate(endless("too late"), timeout_s=0.5):
                    pass
        assert refused.value.status in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
