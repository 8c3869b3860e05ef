"""Owns model folders for tests that read no weights: a configuration, and a safetensors file that is all header."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path

CONFIG = {"num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4, "hidden_size": 128}


def write_model(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """A folder with CONFIG and these tensors, whose numbers are zeros."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    entries, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * prod(shape)
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(end))
    return folder
