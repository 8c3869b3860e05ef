"""What the tests of the vllm engine share. They need vLLM's CPU build: `make test-vllm`."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.engine.transformers.tiny import make_tiny
from tests.support.stack import RunningStack, running_stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(900))
            if importlib.util.find_spec("vllm") is None:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed: make test-vllm"))


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small random model's folder."""
    return str(make_tiny(tmp_path_factory.mktemp("models") / "llama"))


@pytest.fixture(scope="module")
def stack(tiny_llama: str) -> Iterator[RunningStack]:
    """Router, store, and a vLLM for each phase."""
    with running_stack(engine={"kind": "vllm", "model": tiny_llama}, pool={"pages": 1024}) as stack:
        yield stack
