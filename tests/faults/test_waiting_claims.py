"""A worker that dies while decode's claim waits for a grant: the other one's work is not lost, and no page is."""

import asyncio
import urllib.request
from collections.abc import Iterator

import pytest

from splitwiser.rpc.client import Client
from splitwiser.stack.card import read_cards
from tests.support.stack import RunningStack, running_stack
from tests.support.streams import Stream
from tests.support.waiting import PATIENCE_S, until

PREFILL_S = 4.0
PROMPT = 3000


@pytest.fixture
def stack() -> Iterator[RunningStack]:
    sim = {"prefill_us_per_token": PREFILL_S / PROMPT * 1e6, "decode_step_us": 500.0, "decode_us_per_sequence": 1.0}
    with running_stack(sim=sim, prefill={"chunk_tokens": 256}) as stack:
        yield stack


def prompt_tokens_computed(stack: RunningStack) -> int:
    (card,) = [card for card in read_cards(stack.settings.run_dir).values() if card.service == "prefill"]
    with urllib.request.urlopen(f"http://127.0.0.1:{card.metrics_port}/metrics", timeout=PATIENCE_S) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("splitwiser_prompt_tokens_total"):
                return int(float(line.split()[1]))
    raise AssertionError("no splitwiser_prompt_tokens_total")


async def claim_waits(stack: RunningStack) -> None:
    """Wait until decode has pages reserved, which it has for a claim, beside prefill's for the prompt."""
    pages = PROMPT // stack.settings.pool.page_tokens
    await until(lambda: stack.pages_in_use() >= 2 * pages)


async def test_a_decode_worker_that_dies_costs_no_second_prefill(stack: RunningStack) -> None:
    stream = Stream("d" * PROMPT, 20)
    async with Client(stack.address) as client:
        running = asyncio.create_task(stream.run(client))
        await claim_waits(stack)
        dead = stack.kill("decode-0")
        assert not stream.tokens, "the kill came too late to prove anything"
        await running
        assert stream.tokens == await stream.expected(client)
    assert prompt_tokens_computed(stack) == len(stream.text)
    await stack.back("decode-0", dead)
    await stack.assert_nothing_is_left()


async def test_a_prefill_worker_that_dies_takes_the_claim_along(stack: RunningStack) -> None:
    stream = Stream("p" * PROMPT, 20)
    async with Client(stack.address) as client:
        running = asyncio.create_task(stream.run(client))
        await claim_waits(stack)
        dead = stack.kill("prefill-0")
        await running
        assert stream.tokens == await stream.expected(client)
    await stack.back("prefill-0", dead)
    await stack.assert_nothing_is_left()
