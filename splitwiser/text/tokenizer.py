"""Owns text <-> token ids: any tokenizer of the tokenizers library, or the sim engine's bytes. No torch."""

from collections.abc import Sequence
from typing import Protocol

import tokenizers

from splitwiser.errors import InvalidRequest
from splitwiser.text.detokenizer import ByteDetokenizer, Detokenizer, WindowDetokenizer
from splitwiser.text.pieces import Pieces, spelling_of

BYTE_EOS = 256


class Tokenizer(Protocol):
    """Text to token ids and back."""

    @property
    def vocab_size(self) -> int: ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids, with the special tokens that the model expects around them unless the text has them already.

        Raises InvalidRequest for lone surrogates.
        """

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of all tokens, special ones left out."""

    def detokenizer(self, prompt_ids: Sequence[int] = ()) -> Detokenizer:
        """For the text of one completion of this prompt."""

    def piece(self, token_id: int) -> bytes:
        """What one token stands for by itself, which may be part of a character; a special token's name."""


class LibraryTokenizer(Tokenizer):
    """A tokenizer.json."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        spelling = spelling_of(tokenizer)
        self._pieces = spelling and Pieces(tokenizer, spelling)

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        _utf8(text)
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._tokenizer.decode(token_ids)

    def detokenizer(self, prompt_ids: Sequence[int] = ()) -> Detokenizer:
        if self._pieces is None:
            return WindowDetokenizer(self.decode, prompt_ids)
        return ByteDetokenizer(self._pieces, prompt_ids)

    def piece(self, token_id: int) -> bytes:
        known = self._pieces[token_id] if self._pieces is not None else self.decode([token_id]).encode()
        return known or (self._tokenizer.id_to_token(token_id) or "").encode()


class ByteTokenizer(Tokenizer):
    """Ids 0 to 255 are bytes, BYTE_EOS ends a sequence."""

    def __init__(self) -> None:
        self._pieces = {byte: bytes([byte]) for byte in range(256)} | {BYTE_EOS: b""}

    @property
    def vocab_size(self) -> int:
        return len(self._pieces)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(_utf8(text))

    def decode(self, token_ids: Sequence[int]) -> str:
        return bytes([token_id for token_id in token_ids if token_id != BYTE_EOS]).decode("utf-8", errors="replace")

    def detokenizer(self, prompt_ids: Sequence[int] = ()) -> Detokenizer:
        return ByteDetokenizer(self._pieces, prompt_ids)

    def piece(self, token_id: int) -> bytes:
        return self._pieces[token_id]


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"character {error.start} is a lone surrogate", help="send text that is valid Unicode", field="text"
        ) from error
