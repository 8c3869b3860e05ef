"""Result files: written whole or not at all, and read only when they are what this version writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from splitwiser.errors import ConfigurationError
from splitwiser.experiments.result import FILE, read_result, write_result, write_whole
from tests.unit.experiments.examples import result, sample


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    made = result([sample("one"), sample("split", 1, stage="aa")])
    write_result(made, tmp_path)
    assert read_result(tmp_path) == made == read_result(tmp_path / FILE)
    assert json.loads((tmp_path / FILE).read_text())["schema"] == "splitwiser.experiment/1"


def test_it_says_what_made_it(tmp_path: Path) -> None:
    write_result(result([sample("one")]), tmp_path)
    said = json.loads((tmp_path / FILE).read_text())
    assert {"command", "versions", "machine", "definition", "started", "samples"} <= said.keys()
    assert said["versions"]["python"]
    assert said["samples"][0]["seed"] == 0


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "x.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old"
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_whole(path / "below", "new")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "splitwiser.experiment/0"}, "has the schema 'splitwiser.experiment/0'"),
        ({"schema": None}, "has the schema None"),
        ({"colour": "blue"}, "colour"),
        ({"samples": [{"side": "one"}]}, "samples.0"),
    ],
)
def test_a_result_of_another_schema_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = write_result(result([sample("one")]), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigurationError) as caught:
        read_result(tmp_path)
    assert said in str(caught.value)
    assert str(path) in caught.value.field


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_a_broken_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigurationError):
        read_result(tmp_path)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_result(tmp_path)
