"""docs/configuration.md says what the schema says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from splitwiser.config.fields import field_names, find_field

TOOL = Path(__file__).parents[2] / "tools" / "configuration_page.py"


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("configuration_page", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_fresh(tool: ModuleType) -> None:
    assert tool.PAGE.read_text() == tool.page(), "run `make docs` and commit the result"


@pytest.mark.parametrize("name", field_names())
def test_every_setting_says_what_it_is_for(name: str) -> None:
    field = find_field(tuple(name.split(".")))
    assert field is not None
    assert field.description
