"""The sizes that `make images` prints are those of the layers' contents, however large."""

import gzip
import json
from hashlib import sha256
from pathlib import Path

import pytest

from tools import image_layout

LAYER_BYTES = 3_000_000


def layout(folder: Path) -> Path:
    """An OCI layout of one image with one layer, and a blob that nothing needs."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes) -> dict[str, str]:
        name = sha256(content).hexdigest()
        (blobs / name).write_bytes(content)
        return {"digest": f"sha256:{name}"}

    blob(b"left over")
    manifest = {"config": blob(b"{}"), "layers": [blob(gzip.compress(bytes(LAYER_BYTES)))]}
    name = {"annotations": {"org.opencontainers.image.ref.name": "image:1"}}
    index = {"manifests": [blob(json.dumps(manifest).encode()) | name]}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("small_bytes", [2**28, 1])
def test_sizes_are_those_of_the_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_bytes: int) -> None:
    """By gzip's own note, and by unpacking, as for layers whose size may not fit into the note."""
    monkeypatch.setattr(image_layout, "SMALL_BYTES", small_bytes)
    assert image_layout.sizes_mb(layout(tmp_path)) == {"image:1": LAYER_BYTES / 1e6}
    assert len(list((tmp_path / "blobs" / "sha256").iterdir())) == 3
