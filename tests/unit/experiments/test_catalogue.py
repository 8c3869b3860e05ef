"""Definitions: the project's own are right, and a wrong one is refused by the name of its field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from splitwiser.config.check import check_settings
from splitwiser.errors import ConfigurationError
from splitwiser.experiments.catalogue import BESIDE_THE_PACKAGE, names, read_definition, shape_of
from splitwiser.experiments.definition import merged
from tests.unit.experiments.examples import BURST, fields

EVERY = [
    "goodput",
    "handoff",
    "hf-sequential-vs-split",
    "interference",
    "phase-profile",
    "recovery",
    "sharing",
    "vllm-instances",
]


def written(folder: Path, fields: dict[str, Any] | str) -> Path:
    (folder / "example").mkdir()
    text = fields if isinstance(fields, str) else yaml.safe_dump({k: v for k, v in fields.items() if k != "name"})
    (folder / "example" / "experiment.yaml").write_text(text)
    return folder


def test_the_project_has_the_experiments_that_it_promises() -> None:
    assert names(BESIDE_THE_PACKAGE) == EVERY


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("quick", [False, True])
def test_each_is_whole_and_has_words(name: str, quick: bool) -> None:
    definition = read_definition(BESIDE_THE_PACKAGE, name, quick=quick)
    assert definition.plan.points()
    assert all(side.note for side in definition.sides.values())
    assert (BESIDE_THE_PACKAGE / name / "README.md").read_text().startswith("# ")
    if definition.model:
        assert shape_of(BESIDE_THE_PACKAGE, definition.model)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("quick", [False, True])
def test_every_side_can_be_meant(name: str, quick: bool) -> None:
    definition = read_definition(BESIDE_THE_PACKAGE, name, quick=quick)
    for side in definition.sides:
        check_settings(definition.settings_of(side))


@pytest.mark.parametrize("name", EVERY)
def test_a_quick_form_needs_no_gpu(name: str) -> None:
    definition = read_definition(BESIDE_THE_PACKAGE, name, quick=True)
    for side in definition.sides:
        settings = definition.settings_of(side)
        assert settings.engine.device == "cpu"
        assert settings.engine.kind in ("sim", "transformers")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"repeat": 3}, "repeat: no such field"),
        ({"plan": {**BURST, "batches": [1]}}, "plan.batches: no such field"),
        ({"plan": {**BURST, "batch": []}}, "plan.batch"),
        ({"plan": {**BURST, "kind": "brust"}}, "plan"),
        ({"repeats": 0}, "repeats"),
        ({"reference": "other"}, "reference is 'other', which is none of the sides one, split"),
        ({"aa_point": 7}, "aa_point is 7, but the plan has 2 points"),
        ({"settings": {"engine": {"knid": "sim"}}}, "knid"),
        ({"sides": {"one": {"stack": "unsplit"}, "x": {"stack": "split", "instances": 2}}}, "sides.x"),
        ({"sides": {}}, "sides"),
        (
            {"sides": {"one": {"stack": "unsplit", "settings": {"router": {}}}}},
            "sides.one.settings.router: whole engines",
        ),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_definition(written(tmp_path, fields(**changed)), "example")
    assert said in str(caught.value)
    assert "experiment.yaml" in caught.value.field


@pytest.mark.parametrize("text", ["[1, 2", "just words", "\x00"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        read_definition(written(tmp_path, text), "example")


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(ConfigurationError, match="goodptu") as caught:
        read_definition(BESIDE_THE_PACKAGE, "goodptu")
    assert caught.value.help == "did you mean goodput?"


def test_a_folder_without_experiments_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no experiments"):
        names(tmp_path)


def test_quick_and_sets_lie_on_top_and_a_null_takes_away(tmp_path: Path) -> None:
    quick = {"repeats": 1, "sides": {"split": None}}
    folder = written(tmp_path, fields(quick=quick))
    assert list(read_definition(folder, "example").sides) == ["one", "split"]
    small = read_definition(folder, "example", quick=True, sets=["plan.batch=[4]", "settings.pool.pages=64"])
    assert (small.repeats, list(small.sides), small.plan.points()[0]["batch"]) == (1, ["one"], 4)
    assert small.settings_of("one").pool.pages == 64
    with pytest.raises(ConfigurationError, match="sets nothing"):
        read_definition(folder, "example", sets=["repeats"])


def test_merging_leaves_both_sides_as_they_were() -> None:
    below = {"a": {"b": 1, "c": 2}}
    assert merged(below, {"a": {"b": None, "d": 3}}) == {"a": {"c": 2, "d": 3}}
    assert below == {"a": {"b": 1, "c": 2}}
