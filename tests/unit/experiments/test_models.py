"""Random weights are made once, also when several runs want them at the same time."""

import asyncio
from pathlib import Path

import pytest

from splitwiser.experiments import models
from splitwiser.experiments.models import with_model
from tests.unit.experiments.examples import definition


async def test_runs_that_start_together_make_one_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    async def make(place: Path, architecture: str, dtype: str, fields: dict[str, object]) -> None:
        made.append(f"{architecture} {dtype} {fields['hidden_size']}")
        await asyncio.sleep(0.05)
        place.mkdir()  # noqa: ASYNC240

    monkeypatch.setattr(models, "_make", make)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shapes.yaml").write_text("small: {architecture: llama, hidden_size: 8}\n")
    wanted = definition(model="small", settings={"engine": {"kind": "transformers"}})
    both = [with_model(wanted, tmp_path, lambda line: None) for _ in range(2)]
    found = await asyncio.gather(*both)
    assert made == ["llama float32 8"]
    assert {each.settings["engine"]["model"] for each in found} == {str(tmp_path / "runs/models/small-float32")}
