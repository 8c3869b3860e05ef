"""These tests start whole clusters: `make test-cluster` runs them; elsewhere they are left out."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.selection import run_only_where

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    has_binaries = bool(os.environ.get("SPLITWISER_TEST_RUNNER"))
    run_only_where(lambda: has_binaries, HERE, config, items, "cluster", pytest.mark.timeout(400))


@pytest.fixture
def images() -> Path:
    """What `make images` makes."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "splitwiser" / "images"


@pytest.fixture
def small(images: Path, tmp_path: Path) -> Path:
    """An OCI layout with the smallest of the images alone: no pod is started here."""
    index = json.loads((images / "index.json").read_text())
    index["manifests"] = [entry for entry in index["manifests"] if "pause" in json.dumps(entry)]
    (entry,) = index["manifests"]
    manifest = json.loads(_blob(images, entry["digest"]).read_text())
    folder = tmp_path / "images"
    for digest in (entry["digest"], manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])):
        copy = _blob(folder, digest)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_blob(images, digest), copy)
    shutil.copy(images / "oci-layout", folder)
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


@pytest.fixture
def binaries() -> str:
    """Kubernetes' own programs."""
    return os.environ["SPLITWISER_TEST_RUNNER"]
