"""Owns what is known of a model without its weights: length, vocabulary, end of sequence, tokenizer. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitwiser.config.schema import Settings
from splitwiser.errors import StartupError
from splitwiser.text.model_files import ModelFiles
from splitwiser.text.tokenizer import BYTE_EOS, ByteTokenizer, Tokenizer
from splitwiser.text.tokenizer_files import load_tokenizer

# The names under which config.json files give the length, the usual one first.
LENGTH_NAMES = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length", "n_ctx")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A served model. max_tokens: prompt and completion together."""

    name: str
    max_tokens: int
    vocab_size: int
    eos_token_ids: frozenset[int]
    engine: str


def load_model(settings: Settings) -> tuple[ModelInfo, Tokenizer]:
    """The model that settings.engine names. May block on the hub. Raises StartupError when it is missing or broken."""
    engine = settings.engine
    if engine.kind == "sim":
        return _built_in(engine.model or "sim", settings.sim.max_model_tokens)
    if not engine.model:
        raise StartupError("no model is named", help="give a Hugging Face id or a folder", field="engine.model")
    files = ModelFiles(engine.model)
    tokenizer = load_tokenizer(files)
    config = {"vocab_size": tokenizer.vocab_size, **_config(files)}
    max_tokens, vocab_size = _number(files, config, *LENGTH_NAMES), _number(files, config, "vocab_size")
    return ModelInfo(engine.model, max_tokens, vocab_size, _eos_token_ids(files, config), engine.kind), tokenizer


def _built_in(name: str, max_tokens: int) -> tuple[ModelInfo, Tokenizer]:
    tokenizer = ByteTokenizer()
    return ModelInfo(name, max_tokens, tokenizer.vocab_size, frozenset({BYTE_EOS}), "sim"), tokenizer


def _config(files: ModelFiles) -> dict[str, Any]:
    whole = files.read_json(files.require("config.json"))
    generation = files.find("generation_config.json")
    # A later one overrides: a multimodal model's text part, then what generate itself would go by.
    parts = (whole, whole.get("text_config") or {}, files.read_json(generation) if generation else {})
    return {name: value for part in parts for name, value in part.items() if value is not None}


def _number(files: ModelFiles, config: Mapping[str, Any], *names: str) -> int:
    value = next((config[name] for name in names if name in config), None)
    if not isinstance(value, int) or value < 1:
        raise files.broken(f"has no usable {names[0]} in config.json: {value}", help=f"set {names[0]} there")
    return value


def _eos_token_ids(files: ModelFiles, config: Mapping[str, Any]) -> frozenset[int]:
    value = config.get("eos_token_id", [])
    ids = value if isinstance(value, list) else [value]
    if not all(isinstance(token_id, int) for token_id in ids):
        raise files.broken(f"has no usable eos_token_id: {value}", help="set it to a token id, or a list of them")
    return frozenset(ids)
