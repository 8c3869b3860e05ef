"""Owns loading a model's tokenizer: tokenizer.json, or the older pair vocab.json and merges.txt (GPT-2, OPT)."""

from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing

from splitwiser.errors import StartupError
from splitwiser.text.model_files import ModelFiles
from splitwiser.text.tokenizer import LibraryTokenizer, Tokenizer

SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


def load_tokenizer(files: ModelFiles) -> Tokenizer:
    """The model's tokenizer. Raises StartupError when it is missing or broken."""
    try:
        return LibraryTokenizer(_load(files))
    except StartupError:
        raise
    except Exception as error:  # The library raises nothing narrower.
        raise files.broken(f"has a broken tokenizer: {error}", help="fetch or save the model again") from error


def _load(files: ModelFiles) -> tokenizers.Tokenizer:
    path = files.find("tokenizer.json")
    vocab, merges = (None, None) if path else (files.find("vocab.json"), files.find("merges.txt"))
    if vocab and merges:
        config = files.find("tokenizer_config.json")
        return _from_pair(vocab, merges, files.read_json(config) if config else {})
    tokenizer = tokenizers.Tokenizer.from_file(str(path or files.require("tokenizer.json")))
    # Saved with it by whoever trained the model: they would cut or pad every prompt.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _from_pair(vocab: Path, merges: Path, config: dict[str, Any]) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(BPE.from_file(str(vocab), str(merges)))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=bool(config.get("add_prefix_space")))
    tokenizer.decoder = ByteLevelDecoder()
    special = {name: _content(config[name]) for name in SPECIAL_TOKENS if config.get(name)}
    tokenizer.add_special_tokens([token for token in special.values() if tokenizer.token_to_id(token) is not None])
    bos = special.get("bos_token")
    if bos and config.get("add_bos_token"):
        tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return tokenizer


def _content(token: str | dict[str, str]) -> str:
    return token if isinstance(token, str) else token["content"]
