"""A few outputs word for word, so that a change of them is seen in review.

`UPDATE_GOLDEN=1 make test-chart` writes them anew.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.helm import CHART, NAMESPACE, RELEASE, Helm
from tests.support.manifests import named

GOLDEN = Path(__file__).parent / "golden"
Write = Callable[[Helm, Path], str]


def _object(kind: str, name: str) -> Write:
    def write(helm: Helm, values: Path) -> str:
        return yaml.safe_dump(named(helm.objects(values), kind, name))

    return write


def _notes(helm: Helm, values: Path) -> str:
    said = helm.run(
        "install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", str(values), "--dry-run=client"
    )
    return said.split("\nNOTES:\n", 1)[1]


CASES: dict[str, tuple[str, Write]] = {
    "settings.yaml": ("default", _object("ConfigMap", "splitwiser")),
    "router.yaml": ("default", _object("Deployment", "splitwiser-router")),
    "decode-on-gpu.yaml": ("gpu-device-plugin", _object("Deployment", "splitwiser-decode")),
    "gpu-claim.yaml": ("gpu-dra", _object("ResourceClaim", "splitwiser-gpu")),
    "notes.txt": ("default", _notes),
    "notes-tls.txt": ("tls", _notes),
    "notes-rolling.txt": ("rolling", _notes),
    "notes-device-plugin.txt": ("gpu-device-plugin", _notes),
    "notes-mps-daemonset.txt": ("gpu-mps-daemonset", _notes),
    "notes-dra.txt": ("gpu-dra", _notes),
    "notes-time-slicing.txt": ("gpu-time-slicing", _notes),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_was_reviewed(helm: Helm, name: str) -> None:
    values, write = CASES[name]
    found = write(helm, CHART / "ci" / f"{values}-values.yaml")
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(found)
    assert found == (GOLDEN / name).read_text()


def test_nothing_else_is_kept() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(CASES)
