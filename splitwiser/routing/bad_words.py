"""Owns a request's bad words: text becomes sequences of token ids, as vLLM's own front end makes them."""

from collections.abc import Iterator

from splitwiser.errors import InvalidRequest
from splitwiser.rpc import convert
from splitwiser.text.tokenizer import Tokenizer
from splitwiser.v1 import sampling_pb2

MAX_BAD_WORDS = 128
MAX_BAD_TOKENS = 1024
"""Of all words together. vLLM's runner V2 has room for no more of both, and ends at more."""
MAX_BAD_CHARS = 1 << 14


def check_bad_words(
    proto: sampling_pb2.SamplingParams, vocab_size: int, tokenizer: Tokenizer
) -> tuple[tuple[int, ...], ...]:
    """Those given as text and those given as ids. Raises InvalidRequest."""
    texts = tuple(dict.fromkeys(proto.bad_words))
    if len(texts) > MAX_BAD_WORDS or sum(map(len, texts)) > MAX_BAD_CHARS:
        raise _too_many(f"{len(texts)} words of {sum(map(len, texts))} characters")
    spelled = tuple(word for text in texts for word in _spellings(text, tokenizer))
    words = spelled + convert.bad_words_from_proto(proto.bad_token_ids)
    tokens = sum(map(len, words))
    if len(words) > MAX_BAD_WORDS or tokens > MAX_BAD_TOKENS:
        raise _too_many(f"{len(words)} words of {tokens} tokens")
    if not all(words) or any(token_id >= vocab_size for word in words for token_id in word):
        raise InvalidRequest(
            "has a word without tokens, or with one that is none of the model's",
            field="sampling.bad_words",
            help=f"leave empty words out, and use ids below {vocab_size}",
        )
    return words


def _spellings(text: str, tokenizer: Tokenizer) -> Iterator[tuple[int, ...]]:
    """The tokens of the word at the beginning of a text, and after a space, where it is spelled by as many others."""
    word = text.lstrip()
    first, spaced = (tuple(tokenizer.encode(each, add_special_tokens=False)) for each in (word, f" {word}"))
    yield first
    if len(spaced) == len(first) and spaced[:1] != first[:1]:
        yield spaced


def _too_many(cause: str) -> InvalidRequest:
    remedy = f"send at most {MAX_BAD_WORDS} of {MAX_BAD_TOKENS} tokens; one may count twice: alone and after a space"
    return InvalidRequest(f"has {cause}", field="sampling.bad_words", help=remedy)
