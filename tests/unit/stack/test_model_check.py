"""A model that is missing or broken is found before anything starts, by what is wrong with which file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from splitwiser.config.schema import Settings
from splitwiser.engine.transformers.tiny_text import save_tokenizer
from splitwiser.errors import StartupError
from splitwiser.stack.model_check import check_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All files of a model of one tensor."""
    save_tokenizer(tmp_path, 300, 64)
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 300, "max_position_embeddings": 64}))
    save_file({"weight": np.zeros(16, np.float32)}, tmp_path / "model.safetensors")
    return tmp_path


def check(model: Path | str, kind: str = "transformers") -> None:
    check_model(Settings.model_validate({"engine": {"kind": kind, "model": str(model)}}))


def test_a_whole_model_passes(folder: Path) -> None:
    check(folder)


def test_the_sim_engine_needs_no_files() -> None:
    check("", "sim")


def shorten(name: str) -> Callable[[Path], None]:
    def shorten(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-8])

    return shorten


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def index_of_missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"weight": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (remove("config.json"), "config.json"),
        (remove("tokenizer.json"), "tokenizer.json"),
        (remove("model.safetensors"), "has no model.safetensors"),
        (write("config.json", b"{"), "broken config.json"),
        (write("config.json", b"{}"), "max_position_embeddings"),
        (write("tokenizer.json", b"{}"), "broken tokenizer"),
        (shorten("model.safetensors"), "model.safetensors is cut or damaged"),
        (write("model.safetensors", b""), "model.safetensors is cut or damaged"),
        (write("model.safetensors", b"\xff" * 64), "model.safetensors is cut or damaged"),
        (write("model.safetensors", b"\x02" + b"\0" * 7 + b"[]"), "model.safetensors is cut or damaged"),
        (index_of_missing_shard, "model-00001-of-00001.safetensors is not there"),
    ],
)
def test_a_broken_model_is_told_by_its_file(harm: Callable[[Path], object], told: str, folder: Path) -> None:
    harm(folder)
    with pytest.raises(StartupError) as raised:
        check(folder)
    assert told in raised.value.cause
    assert raised.value.field == "engine.model"
    assert raised.value.help


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="there is no folder"):
        check(tmp_path / "absent")


def test_no_model_at_all() -> None:
    with pytest.raises(StartupError, match="no model is named"):
        check("")
