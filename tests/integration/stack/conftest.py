"""Settings of a small stack in a folder of its own, and proof that nothing of it is left."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from splitwiser.config.schema import Settings
from tests.support.processes import lives

FAKES = "tests.integration.stack.fake_services"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path / "run")


def make_settings(run_dir: Path, **sections: object) -> Settings:
    defaults: dict[str, object] = {"engine": {"kind": "sim"}, "router": {"listen": "127.0.0.1:0"}}
    return Settings.model_validate({"run_dir": run_dir, **defaults, **sections})


@pytest.fixture(autouse=True)
def importable_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services do not look for modules in the working folder."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert not [child for child in set(psutil.Process().children(recursive=True)) - before if lives(child)]
