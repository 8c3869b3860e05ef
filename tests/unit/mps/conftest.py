"""The MPS package under test speaks to the fake control program."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.mps.control import Control
from tests.support import fake_gpu
from tests.support.sockets import socket_folder


@pytest.fixture(autouse=True)
def fake_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.install(monkeypatch, fake_gpu.H200)


@pytest.fixture
def folder() -> Iterator[Path]:
    with socket_folder() as path:
        yield path


@pytest.fixture
def running(folder: Path) -> Control:
    """A daemon of this user."""
    control = Control(folder, folder)
    control.launch()
    return control
