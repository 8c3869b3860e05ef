"""Keeps an OCI layout to the images of its index, and prints their sizes as JSON (uncompressed, as `podman images`)."""

import gzip
import json
import struct
import sys
from pathlib import Path
from typing import Any


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


# gzip notes the size in 32 bits. Layers shrink to a half or a third: what packs to less than this has not overflowed.
SMALL_BYTES = 2**32 // 16
CHUNK_BYTES = 2**20


def _uncompressed_bytes(layer: Path) -> int:
    """What gzip noted at the end of the file, or, where that may have overflowed, what there is."""
    if layer.stat().st_size >= SMALL_BYTES:
        with gzip.open(layer) as unpacked:
            return sum(len(chunk) for chunk in iter(lambda: unpacked.read(CHUNK_BYTES), b""))
    with layer.open("rb") as file:
        file.seek(-4, 2)
        (count,) = struct.unpack("<I", file.read(4))
        return int(count)


def drop_unnamed(layout: Path) -> None:
    """Takes out of the index what a newer image of the same name has replaced."""
    index = _read(layout / "index.json")
    index["manifests"] = [entry for entry in index["manifests"] if "annotations" in entry]
    (layout / "index.json").write_text(json.dumps(index))


def sizes_mb(layout: Path) -> dict[str, float]:
    """Image name -> MB (10^6 bytes) of its layers. Removes the blobs that no image of the index needs."""
    sizes, needed = {}, set()
    for entry in _read(layout / "index.json")["manifests"]:
        manifest = _read(_blob(layout, entry["digest"]))
        layers = [_blob(layout, layer["digest"]) for layer in manifest["layers"]]
        needed |= {_blob(layout, entry["digest"]), _blob(layout, manifest["config"]["digest"]), *layers}
        name = entry["annotations"]["org.opencontainers.image.ref.name"]
        sizes[name] = round(sum(map(_uncompressed_bytes, layers)) / 1e6, 1)
    for path in set((layout / "blobs" / "sha256").iterdir()) - needed:
        path.unlink()
    return sizes


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    drop_unnamed(folder)
    print(json.dumps({"image_size_mb": sizes_mb(folder)}, indent=2))
