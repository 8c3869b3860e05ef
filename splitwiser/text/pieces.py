"""Owns what a token stands for, in bytes, for the two kinds of tokenizer where that never depends on its neighbours."""

import json
from collections.abc import Callable
from typing import Any

import tokenizers

Spelling = Callable[[str], bytes]


class Pieces(dict[int, bytes]):
    """Bytes of each token id, spelled out when first asked for. Special and unknown tokens have none."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, spelling: Spelling) -> None:
        added = tokenizer.get_added_tokens_decoder()
        super().__init__({token_id: b"" for token_id, token in added.items() if token.special})
        self._tokenizer = tokenizer
        self._spelling = spelling

    def __missing__(self, token_id: int) -> bytes:
        token = self._tokenizer.id_to_token(token_id)
        piece = self[token_id] = b"" if token is None else self._spelling(token)
        return piece


def spelling_of(tokenizer: tokenizers.Tokenizer) -> Spelling | None:
    """How this tokenizer's decoder spells a token; None when only the decoder itself can tell."""
    steps = _decoder_steps(tokenizer)
    kinds = {step["type"] for step in steps}
    if "ByteLevel" in kinds and kinds <= {"ByteLevel", "Fuse"}:
        return byte_level
    if "ByteFallback" in kinds and all(map(_keeps_pieces, steps)):
        return byte_fallback
    return None


def _decoder_steps(tokenizer: tokenizers.Tokenizer) -> list[dict[str, Any]]:
    if tokenizer.decoder is None:
        return []
    state = json.loads(tokenizer.decoder.__getstate__())
    steps: list[dict[str, Any]] = state["decoders"] if state["type"] == "Sequence" else [state]
    return steps


def _keeps_pieces(step: dict[str, Any]) -> bool:
    # Strip and Metaspace take the space off the very first token, which for a completion is the prompt's.
    if step["type"] == "Replace":
        return bool(step["pattern"] == {"String": "▁"} and step["content"] == " ")
    return step["type"] in {"ByteFallback", "Fuse", "Strip", "Metaspace"}


def _byte_alphabet() -> dict[str, int]:
    # GPT-2's: printable bytes stand for themselves, the others for the characters from 256 on.
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTE_ALPHABET = _byte_alphabet()


def byte_level(token: str) -> bytes:
    """Of a byte-level BPE: each character stands for a byte; added tokens stand for themselves."""
    try:
        return bytes([BYTE_ALPHABET[character] for character in token])
    except KeyError:
        return token.encode()


def byte_fallback(token: str) -> bytes:
    """Of a SentencePiece model: ▁ is a space, <0xNN> a byte."""
    if len(token) == len("<0xNN>") and token.startswith("<0x") and token.endswith(">"):
        try:
            return bytes([int(token[3:5], 16)])
        except ValueError:
            pass
    return token.replace("▁", " ").encode()
