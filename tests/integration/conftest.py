"""What integration tests share: a real Redis."""

from collections.abc import Iterator

import pytest
import redis

from tests.support.redis_server import RedisServer
from tests.support.redis_server import redis_server as running_server


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server for all tests that leave it alone."""
    with running_server() as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """URL of a real Redis that is empty at the test's start."""
    with redis.Redis.from_url(shared_redis.url) as client:
        client.flushall()
    return shared_redis.url


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A server of the test's own, to be stopped and ended."""
    with running_server() as server:
        yield server
