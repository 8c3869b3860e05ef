"""Owns what the headers of safetensors files say of a model's weights: each tensor's shape, without reading any."""

import json
from pathlib import Path
from typing import Any

from splitwiser.text.model_files import ModelFiles

WEIGHTS = "model.safetensors"
_LENGTH_BYTES = 8
_LONGEST_HEADER_BYTES = 100_000_000
"""The format's own limit."""


def weight_shapes(files: ModelFiles) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor name; empty for a model that is not here in safetensors files. Asks no hub."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in _paths(files):
        try:
            shapes |= {tensor: tuple(entry["shape"]) for tensor, entry in read_header(path).items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            cause = f"is broken: {path.name} is cut or damaged"
            raise files.broken(cause, help="fetch or save the model again") from error
    return shapes


def read_header(path: Path) -> dict[str, Any]:
    """A safetensors file's entries by tensor name. Raises ValueError when its length cannot be right."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > min(_LONGEST_HEADER_BYTES, path.stat().st_size):
            raise ValueError("its header is longer than the file")
        header: dict[str, Any] = json.loads(file.read(length))
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _paths(files: ModelFiles) -> list[Path]:
    names = [WEIGHTS]
    if index := files.here(f"{WEIGHTS}.index.json"):
        names = sorted(set((files.read_json(index).get("weight_map") or {}).values()))
    paths = [files.here(name) for name in names]
    return [path for path in paths if path]
