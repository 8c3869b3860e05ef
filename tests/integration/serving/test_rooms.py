"""Requests that start with a part of their pages: more run at once, every token is right, and no page is lost."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from splitwiser.rpc.client import Client
from splitwiser.telemetry.records import StepRecord
from splitwiser.telemetry.timeline import read_timeline
from tests.integration.serving.test_prefix_cache import turn, words
from tests.support.stack import RunningStack, running_stack

# Of decode's 72 pages one request of 60 prompt tokens and 400 more may need 29.
POOL: dict[str, Any] = {"pages": 96, "prefill_share": 0.25}
ROOM_TOKENS = 32


@pytest.fixture(params=[True, False], ids=["prefix-cache", "no-prefix-cache"], scope="module")
def small(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    with running_stack(pool={**POOL, "prefix_cache": request.param}, decode={"room_tokens": ROOM_TOKENS}) as stack:
        yield stack


async def test_answers_that_outgrow_the_pool_are_all_right(small: RunningStack) -> None:
    """Together they need 368 pages of 72, which would be those of three: more of them run, and some give way."""
    async with Client(small.address) as client:
        async with asyncio.timeout(90):
            await asyncio.gather(*(turn(client, words(random.Random(seed), 60), 300) for seed in range(16)))
    await small.assert_nothing_is_left()
    assert small.metric("router", "splitwiser_requests_gave_way_total") > 0
    steps = [each for each in read_timeline(small.settings.run_dir) if isinstance(each, StepRecord)]
    assert max(step.batch_size for step in steps if step.phase == "decode") > 3
    print(
        small.metric("router", "splitwiser_requests_gave_way_total"),
        max(step.batch_size for step in steps if step.phase == "decode"),
    )
