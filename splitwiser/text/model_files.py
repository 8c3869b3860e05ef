"""Owns where a model's files are: in a folder, or under an id of the Hugging Face hub (HF_HUB_OFFLINE holds)."""

import json
from pathlib import Path
from typing import Any

from splitwiser.errors import StartupError


class ModelFiles:
    """The files of one model, fetched as they are asked for."""

    def __init__(self, model: str) -> None:
        """Raises StartupError for what looks like a folder and is none."""
        self._model = model
        folder = Path(model).expanduser()
        self._folder = folder if folder.is_dir() else None
        if self._folder is None and (folder.is_absolute() or model.startswith((".", "~"))):
            raise StartupError(
                f"there is no folder {model}",
                help="name a folder with a Hugging Face model, or a hub id",
                field="engine.model",
            )

    def find(self, name: str) -> Path | None:
        """The file's path; None if there is none, or no hub to ask. Raises StartupError when the hub refuses."""
        if self._folder is None:
            return self._download(name)
        path = self._folder / name
        return path if path.is_file() else None

    def here(self, name: str) -> Path | None:
        """The file's path if it is on this machine; no hub is asked."""
        if self._folder is None:
            from huggingface_hub import try_to_load_from_cache

            cached = try_to_load_from_cache(self._model, name)
            return Path(cached) if isinstance(cached, str) else None
        path = self._folder / name
        return path if path.is_file() else None

    def require(self, name: str) -> Path:
        """The file's path. Raises StartupError if the model has none."""
        path = self.find(name)
        if path is not None:
            return path
        if self._folder:
            raise self.broken(f"has no {name}", help="name a complete Hugging Face model: save_pretrained writes one")
        raise self.broken(
            f"has no {name}, or the hub cannot be reached",
            help="check the id and the network; with HF_HUB_OFFLINE, download the model first; or name a folder",
        )

    def read_json(self, path: Path) -> dict[str, Any]:
        """The object in a JSON file. Raises StartupError when it is no JSON object."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self.broken(f"has a broken {path.name}: {error}", help="fetch or save the model again") from error
        if not isinstance(content, dict):
            raise self.broken(f"has a broken {path.name}: no JSON object", help="fetch or save the model again")
        return content

    def broken(self, cause: str, *, help: str) -> StartupError:
        """The error for something that is wrong with this model."""
        return StartupError(f"{self._model} {cause}", help=help, field="engine.model")

    def _download(self, name: str) -> Path | None:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            return Path(hf_hub_download(self._model, name))
        except EntryNotFoundError:
            return None
        except (OSError, ValueError) as error:
            cause = str(error).strip().splitlines()[0]
            raise self.broken(
                f"cannot be fetched: {cause}", help="check the id, and HF_TOKEN for a gated model; or name a folder"
            ) from error
