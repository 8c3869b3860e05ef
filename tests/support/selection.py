"""Owns which folders of tests run at all: those that need more than a machine has are left out."""

from collections.abc import Callable
from pathlib import Path

import pytest


def run_only_where(
    possible: Callable[[], bool],
    folder: Path,
    config: pytest.Config,
    items: list[pytest.Item],
    *marks: str | pytest.MarkDecorator,
) -> None:
    """Mark the tests of a folder, and take them out of items unless they are possible, which is asked only for them."""
    here = [item for item in items if folder in item.path.parents]
    for item in here:
        for mark in marks:
            item.add_marker(mark)
    if here and not possible():
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]
