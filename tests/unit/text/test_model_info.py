"""What the router learns of a model from its files, and what it says when they are wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from splitwiser.config.schema import EngineSettings, Settings, SimSettings
from splitwiser.errors import StartupError
from splitwiser.text.model_info import ModelInfo, load_model
from tests.unit.text.samples import byte_level

CONFIG = {"max_position_embeddings": 2048, "vocab_size": 512, "eos_token_id": 1}


def settings_for(model: str) -> Settings:
    return Settings(engine=EngineSettings(kind="transformers", model=model))


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    byte_level().save(str(tmp_path / "tokenizer.json"))
    write(tmp_path, "config.json", CONFIG)
    return tmp_path


def info_of(folder: Path) -> ModelInfo:
    return load_model(settings_for(str(folder)))[0]


def test_the_sim_engine_has_a_built_in_model() -> None:
    settings = Settings(engine=EngineSettings(kind="sim"), sim=SimSettings(max_model_tokens=99))
    info, tokenizer = load_model(settings)
    assert info == ModelInfo("sim", 99, 257, frozenset({256}), "sim")
    assert tokenizer.encode("A") == [65]


def test_a_folder_is_read_without_torch(folder: Path) -> None:
    info, tokenizer = load_model(settings_for(str(folder)))
    assert info == ModelInfo(str(folder), 2048, 512, frozenset({1}), "transformers")
    assert tokenizer.decode(tokenizer.encode("hello")) == "hello"


def test_no_prompt_is_cut_or_padded_as_in_training(folder: Path) -> None:
    tokenizer = byte_level()
    whole = tokenizer.encode("the quick brown fox").ids
    for length in (2, 2 * len(whole)):
        tokenizer.enable_truncation(length)
        tokenizer.enable_padding(length=length)
        tokenizer.save(str(folder / "tokenizer.json"))
        assert load_model(settings_for(str(folder)))[1].encode("the quick brown fox") == whole


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"n_positions": 1024}, 1024),
        ({"max_sequence_length": 4096}, 4096),
        ({"text_config": {"max_position_embeddings": 77}}, 77),
    ],
)
def test_the_length_is_found_under_each_familys_name(folder: Path, config: dict[str, Any], length: int) -> None:
    write(folder, "config.json", config)
    info = info_of(folder)
    assert (info.max_tokens, info.eos_token_ids) == (length, frozenset())
    assert info.vocab_size > 256


@pytest.mark.parametrize(
    ("generation", "expected"),
    [({"eos_token_id": [0, 7]}, {0, 7}), ({"eos_token_id": 0}, {0}), ({"eos_token_id": None}, {1})],
)
def test_the_generation_configs_end_of_sequence_wins(folder: Path, generation: Any, expected: set[int]) -> None:
    write(folder, "generation_config.json", generation)
    assert info_of(folder).eos_token_ids == expected


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("config.json", "{", "broken config.json"),
        ("config.json", "[]", "broken config.json"),
        ("config.json", {"vocab_size": 3}, "max_position_embeddings"),
        ("config.json", CONFIG | {"vocab_size": "many"}, "vocab_size"),
        ("config.json", CONFIG | {"eos_token_id": "</s>"}, "eos_token_id"),
        ("tokenizer.json", "{}", "broken tokenizer"),
        ("generation_config.json", "nothing", "broken generation_config.json"),
    ],
)
def test_a_broken_file_is_named(folder: Path, name: str, content: Any, cause: str) -> None:
    write(folder, name, content)
    with pytest.raises(StartupError, match=cause) as caught:
        info_of(folder)
    assert caught.value.field == "engine.model"
    assert caught.value.help


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(StartupError, match=f"has no {name}"):
        info_of(folder)


@pytest.mark.parametrize("model", ["", "./nowhere", "/nowhere/at/all", "not a valid id!"])
def test_a_model_that_cannot_be_is_refused(model: str) -> None:
    with pytest.raises(StartupError) as caught:
        load_model(settings_for(model))
    assert caught.value.help


def test_a_hub_id_that_is_not_in_the_cache_is_refused_when_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StartupError, match="hub cannot be reached") as caught:
        load_model(settings_for("splitwiser-tests/no-such-model"))
    assert "HF_HUB_OFFLINE" in caught.value.help


def test_a_cached_hub_model_is_read_offline(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, commit = tmp_path_factory.mktemp("hub"), "0" * 40
    model = cache / "models--some--model"
    shutil.copytree(folder, model / "snapshots" / commit)
    (model / "refs").mkdir()
    write(model / "refs", "main", commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    info, _ = load_model(settings_for("some/model"))
    assert (info.name, info.eos_token_ids) == ("some/model", frozenset({1}))


def test_the_older_pair_of_vocabulary_and_merges_is_enough(folder: Path) -> None:
    whole = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").unlink()
    write(folder, "vocab.json", whole["model"]["vocab"])
    write(folder, "merges.txt", "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in whole["model"]["merges"]))
    write(
        folder, "tokenizer_config.json", {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": True}
    )
    tokenizer = load_model(settings_for(str(folder)))[1]
    text = "the quick brown fox 🎉"
    assert tokenizer.encode(text) == byte_level().encode(text).ids
    assert tokenizer.decode([0, *tokenizer.encode(text), 1]) == text
