"""One sim stack with an HTTP door for all tests of a module."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from tests.support.http import http_client
from tests.support.stack import RunningStack, running_stack

LIMIT = 30
"""Requests in flight."""
STEPS = {"prefill_us_per_token": 1.0, "decode_step_us": 2000.0, "decode_us_per_sequence": 1.0}
"""The longest answer takes 16 s: what ends sooner was ended."""


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    router = {"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0", "http_max_body_bytes": 100_000}
    with running_stack(router={**router, "http_max_requests": LIMIT}, sim=STEPS) as stack:
        yield stack


@pytest.fixture
async def client(stack: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client(stack.http_url) as client:
        yield client
