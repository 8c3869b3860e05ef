"""Gets a model ready before a stack starts, as a process: `make FOLDER` a small one, or `fetch ID` from the hub."""

import sys
from pathlib import Path

from splitwiser.errors import SplitwiserError

# What a decoder-only model is loaded from; a repository may hold the same weights in other formats besides.
PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model"]


def make(folder: str) -> None:
    from splitwiser.engine.transformers.tiny import make_tiny

    make_tiny(Path(folder))


def fetch(model: str) -> None:
    from huggingface_hub import snapshot_download

    from splitwiser.text.model_files import ModelFiles

    # Its error for a wrong id or no network says what to do.
    ModelFiles(model).require("config.json")
    snapshot_download(model, allow_patterns=PATTERNS)


if __name__ == "__main__":
    try:
        {"make": make, "fetch": fetch}[sys.argv[1]](sys.argv[2])
    except SplitwiserError as error:
        sys.exit(str(error))
