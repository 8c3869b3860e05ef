"""Owns log probabilities in OpenAI's two forms."""

from collections.abc import Callable, Sequence
from typing import Any

from splitwiser.v1 import sampling_pb2

Piece = Callable[[int], bytes]
"""What one token stands for by itself."""
Logprobs = Sequence[sampling_pb2.TokenLogprobs]


def completion_logprobs(piece: Piece, token_ids: Sequence[int], logprobs: Logprobs, offset: int) -> dict[str, Any]:
    """Of a completion: four arrays. offset: characters of the text before the first of these tokens."""
    texts = [_text(piece(token_id)) for token_id in token_ids]
    offsets = [offset + sum(map(len, texts[:place])) for place in range(len(texts))]
    return {
        "tokens": texts,
        "token_logprobs": [entry.logprob for entry in logprobs],
        "top_logprobs": [
            _by_text(piece, text, entry) if entry.top_token_ids else None
            for text, entry in zip(texts, logprobs, strict=True)
        ],
        "text_offset": offsets,
    }


def chat_logprobs(piece: Piece, token_ids: Sequence[int], logprobs: Logprobs) -> dict[str, Any]:
    """Of a chat: an object for each token."""
    entries = [
        {**_entry(piece(token_id), entry.logprob), "top_logprobs": [_entry(piece(top), lp) for top, lp in _top(entry)]}
        for token_id, entry in zip(token_ids, logprobs, strict=True)
    ]
    return {"content": entries, "refusal": None}


def _by_text(piece: Piece, text: str, entry: sampling_pb2.TokenLogprobs) -> dict[str, float]:
    """Of tokens that read alike, such as parts of characters, the drawn one is told, or else the likeliest."""
    told = {text: entry.logprob}
    for token_id, logprob in _top(entry):
        told.setdefault(_text(piece(token_id)), logprob)
    return told


def _top(entry: sampling_pb2.TokenLogprobs) -> list[tuple[int, float]]:
    return list(zip(entry.top_token_ids, entry.top_logprobs, strict=True))


def _entry(piece: bytes, logprob: float) -> dict[str, Any]:
    return {"token": _text(piece), "logprob": logprob, "bytes": list(piece)}


def _text(piece: bytes) -> str:
    return piece.decode(errors="replace")
