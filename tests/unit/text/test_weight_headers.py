"""Shapes are read off safetensors headers, of one file or several, and a damaged file is told."""

import json
from pathlib import Path

import pytest

from splitwiser.errors import StartupError
from splitwiser.text.model_files import ModelFiles
from splitwiser.text.weight_headers import weight_shapes
from tests.support.models import write_model

SHAPES = {"embed.weight": (16, 8), "norm.weight": (8,)}


def test_shapes_of_one_file(tmp_path: Path) -> None:
    assert weight_shapes(ModelFiles(str(write_model(tmp_path / "model", SHAPES)))) == SHAPES


def test_shapes_of_several_files(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", SHAPES)
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    other = write_model(tmp_path / "other", {"head.weight": (16, 8)})
    (other / "model.safetensors").rename(folder / "two.safetensors")
    weight_map = {"embed.weight": "one.safetensors", "norm.weight": "one.safetensors", "head.weight": "two.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert weight_shapes(ModelFiles(str(folder))) == {**SHAPES, "head.weight": (16, 8)}


def test_a_model_without_such_files_has_no_shapes(tmp_path: Path) -> None:
    assert weight_shapes(ModelFiles(str(tmp_path))) == {}


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x04" + bytes(7) + b"oops"])
def test_a_damaged_file_is_told(content: bytes, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", SHAPES)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(StartupError, match=r"model\.safetensors is cut or damaged"):
        weight_shapes(ModelFiles(str(folder)))
