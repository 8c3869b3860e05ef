"""Tiny models, made once a session, and arithmetic set up before anything computes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from splitwiser.engine.transformers.numerics import set_up_arithmetic
from splitwiser.engine.transformers.tiny import make_tiny

# On import, not in a fixture: the first matrix product of the process fixes MKL's mode.
set_up_arithmetic(1)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the tiny model of an architecture."""
    made: dict[str, Path] = {}

    def folder(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = make_tiny(tmp_path_factory.mktemp("tiny") / architecture, architecture)
        return made[architecture]

    return folder
