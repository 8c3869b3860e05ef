"""A named model is on this machine before the stack starts; with none named, a small random one is made."""

from pathlib import Path

import pytest

from splitwiser.cli.model import with_model
from splitwiser.config.schema import Settings
from splitwiser.errors import StartupError


def make_settings(run_dir: Path, **engine: str) -> Settings:
    return Settings.model_validate({"run_dir": run_dir, "engine": engine})


def names_in(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


async def test_sim_and_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    said: list[str] = []
    for engine in ({"kind": "sim"}, {"model": str(tmp_path)}):
        settings = make_settings(tmp_path / "run", **engine)
        assert await with_model(settings, said.append) == settings
    assert not said


@pytest.mark.slow
async def test_the_small_model_is_made_once(tmp_path: Path) -> None:
    said: list[str] = []
    first = await with_model(make_settings(tmp_path), said.append)
    second = await with_model(make_settings(tmp_path), said.append)
    assert first == second
    assert said == ["making a small random model"]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names_in(first.engine.model)


async def test_a_model_that_cannot_be_fetched_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with pytest.raises(StartupError, match=r"cannot fetch nobody/nothing\n.*\n?.*help: ") as raised:
        await with_model(make_settings(tmp_path, model="nobody/nothing"), lambda line: None)
    assert "Traceback" not in str(raised.value)


async def test_a_model_in_the_hubs_cache_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "hub" / "hub" / "models--somebody--something"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    settings = make_settings(tmp_path, model="somebody/something")
    assert await with_model(settings, lambda line: None) == settings
