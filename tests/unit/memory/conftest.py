"""Folders for the sockets of these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sockets import socket_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder, mode 0700, with a short path."""
    with socket_folder() as path:
        yield path
