"""These tests start whole clusters: `make test-cluster` runs them; elsewhere they are left out."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker("cluster")
        item.add_marker(pytest.mark.timeout(400))
    if here and not os.environ.get("SPLITWISER_TEST_RUNNER"):
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]


@pytest.fixture
def images() -> Path:
    """What `make images` makes."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "splitwiser" / "images"


@pytest.fixture
def binaries() -> str:
    """Kubernetes' own programs."""
    return os.environ["SPLITWISER_TEST_RUNNER"]
