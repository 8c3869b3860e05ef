"""Every test of this folder needs an NVIDIA GPU; where there is none they are left out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.errors import StartupError
from splitwiser.mps.gpu import read_gpu
from tests.support.selection import run_only_where
from tests.support.sockets import socket_folder

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run_only_where(_has_gpu, HERE, config, items, "gpu")


def _has_gpu() -> bool:
    try:
        read_gpu()
    except StartupError:
        return False
    return True


@pytest.fixture
def folder() -> Iterator[Path]:
    with socket_folder() as path:
        yield path
