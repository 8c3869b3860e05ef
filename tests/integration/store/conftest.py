"""A running store for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.sockets import socket_folder
from tests.support.store import Store, fresh_store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with fresh_store() as store:
        yield store


@pytest.fixture
def folder() -> Iterator[Path]:
    with socket_folder() as path:
        yield path
