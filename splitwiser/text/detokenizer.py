"""Owns incremental detokenizing: token ids in, whole characters out, as soon as they are whole.

The text of a completion is what it adds to its prompt's text, so a detokenizer is told the prompt's last tokens. Its
pieces, joined, are the text of all tokens at once; bytes that are no UTF-8 come out as U+FFFD.
"""

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

# A character has at most four bytes, so at most four tokens.
CHARACTER_TOKENS = 4
REPLACEMENT = "\ufffd"


class Detokenizer(Protocol):
    """The text of one completion."""

    def add(self, token_id: int) -> str:
        """The characters that this token makes whole; empty while one is still in parts."""

    def flush(self) -> str:
        """What was held back, at the end."""


class ByteDetokenizer(Detokenizer):
    """For tokenizers whose tokens are bytes, each the same wherever it stands."""

    def __init__(self, pieces: Mapping[int, bytes], prompt_ids: Sequence[int] = ()) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token_id in prompt_ids[-CHARACTER_TOKENS:]:
            self.add(token_id)

    def add(self, token_id: int) -> str:
        return self._decoder.decode(self._pieces[token_id])

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class WindowDetokenizer(Detokenizer):
    """For any tokenizer: decodes each token together with the few before it, which may change its text.

    The way of vLLM's and text-generation-inference's incremental detokenizers, with a bound on what is held back.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], prompt_ids: Sequence[int] = ()) -> None:
        self._decode = decode
        self._context = self._context_in(prompt_ids)
        self._held: list[int] = []

    def add(self, token_id: int) -> str:
        self._held.append(token_id)
        text = self._held_text()
        whole = text and not text.endswith(REPLACEMENT)
        return self._release(text) if whole or len(self._held) >= CHARACTER_TOKENS else ""

    def flush(self) -> str:
        return self._release(self._held_text())

    def _context_in(self, prompt_ids: Sequence[int]) -> list[int]:
        """The prompt's last tokens, from the beginning of a character on: half of one would spoil what follows it."""
        context: list[int] = []
        for count in range(CHARACTER_TOKENS, 2 * CHARACTER_TOKENS):
            context = list(prompt_ids[-count:])
            if not self._decode(context).startswith(REPLACEMENT):
                break
        return context

    def _held_text(self) -> str:
        return self._decode(self._context + self._held)[len(self._decode(self._context)) :]

    def _release(self, text: str) -> str:
        # Tokens without text, special ones, must not push out the context that the next token needs.
        if text:
            self._context = self._held
        self._held = []
        return text
