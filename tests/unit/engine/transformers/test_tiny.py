"""The tiny models: the same for the same seed, and able to take any text and say any token."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from splitwiser.config.schema import EngineSettings, Settings
from splitwiser.engine.transformers.tiny import ARCHITECTURES, make_tiny
from splitwiser.engine.transformers.tiny_text import END_OF_TEXT_ID, train_tokenizer
from splitwiser.text.model_info import load_model


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(512)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_survives_the_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_every_token_has_a_text(tokenizer: Tokenizer) -> None:
    assert all(tokenizer.id_to_token(token_id) for token_id in range(512))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_served_as_any_model_is(architecture: str, tiny_model: Callable[[str], Path]) -> None:
    info, tokenizer = load_model(Settings(engine=EngineSettings(model=str(tiny_model(architecture)))))
    assert info.max_tokens >= 2048
    assert info.vocab_size == 512
    assert info.eos_token_ids == {END_OF_TEXT_ID}
    assert tokenizer.encode("prefill and decode")


def test_the_seed_decides_the_weights(tmp_path: Path) -> None:
    contents = [
        (make_tiny(tmp_path / str(n), seed=seed) / "model.safetensors").read_bytes() for n, seed in enumerate((1, 1, 2))
    ]
    assert contents[0] == contents[1] != contents[2]


def test_fields_of_the_configuration_can_be_set(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "short", max_position_embeddings=256)
    info, _ = load_model(Settings(engine=EngineSettings(model=str(folder))))
    assert info.max_tokens == 256
