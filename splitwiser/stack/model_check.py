"""Owns the check of the model before a stack starts: its files are there and whole. Of weights it reads headers."""

import json
from collections.abc import Iterator
from pathlib import Path

from splitwiser.config.schema import Settings
from splitwiser.text.model_files import ModelFiles
from splitwiser.text.model_info import load_model

WEIGHTS = "model.safetensors"
OLD_WEIGHTS = "pytorch_model.bin"


def check_model(settings: Settings) -> None:
    """Raise StartupError when the model is missing or broken. May block on the hub, for small files only."""
    load_model(settings)
    folder = Path(settings.engine.model).expanduser()
    if settings.engine.kind != "sim" and folder.is_dir():
        _check_weights(ModelFiles(settings.engine.model), folder)


def _check_weights(files: ModelFiles, folder: Path) -> None:
    names = [name for name in (WEIGHTS, OLD_WEIGHTS) if files.find(name)] or list(_shards(files))
    if not names:
        raise files.broken(f"has no {WEIGHTS}", help="name a complete Hugging Face model: save_pretrained writes one")
    for name in names:
        path = folder / name
        if not path.is_file() or not _is_whole(path):
            cause = "is cut or damaged" if path.is_file() else "is not there"
            raise files.broken(f"is broken: {name} {cause}", help="fetch or save the model again")


def _shards(files: ModelFiles) -> Iterator[str]:
    """The files that an index names."""
    for name in (WEIGHTS, OLD_WEIGHTS):
        index = files.find(f"{name}.index.json")
        if index:
            shards = files.read_json(index).get("weight_map") or {}
            yield from sorted(set(shards.values()))
            return


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says; the older format is only looked at for being empty."""
    size = path.stat().st_size
    if path.suffix != ".safetensors":
        return size > 0
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > size:
            return False
        try:
            header = json.loads(file.read(header_bytes))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, AttributeError, LookupError, TypeError):
            return False
    return bool(8 + header_bytes + max(ends, default=0) == size)
