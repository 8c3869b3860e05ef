"""A small experiment over the sim engine, that takes seconds."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.experiments.examples import fields

FAST = {
    "engine": {"kind": "sim"},
    "pool": {"pages": 256},
    "sim": {"prefill_us_per_token": 2, "decode_step_us": 300, "decode_us_per_sequence": 5},
}


def write_experiment(folder: Path, **changed: Any) -> Path:
    """FOLDER/example/experiment.yaml; returns folder."""
    plan = {"kind": "burst", "prompt_tokens": [32], "output_tokens": [8], "batch": [2, 4]}
    made = fields(**{"settings": FAST, "plan": plan, **changed})
    (folder / "example").mkdir(parents=True)
    text = yaml.safe_dump({name: value for name, value in made.items() if name != "name"})
    (folder / "example" / "experiment.yaml").write_text(text)
    return folder


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """A folder of experiments."""
    return write_experiment(tmp_path / "experiments")
