"""Owns log probabilities: of the model's distribution as it is, before temperature and filters."""

from collections.abc import Sequence

import torch

from splitwiser.engine.base import Sampling, TokenLogprobs
from splitwiser.engine.batch import Drawn, Token


def with_logprobs(logits: torch.Tensor, tokens: Sequence[int], samplings: Sequence[Sampling]) -> list[Token]:
    """The tokens, with log probabilities in the rows that ask for them. logits: [rows, vocabulary]."""
    return [
        token if sampling.logprobs is None else Drawn(token, _of_row(logits[row], token, sampling.logprobs))
        for row, (token, sampling) in enumerate(zip(tokens, samplings, strict=True))
    ]


def _of_row(logits: torch.Tensor, token: int, count: int) -> TokenLogprobs:
    logprobs = logits.double().log_softmax(dim=0)
    top = logprobs.topk(min(count, len(logprobs)))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return TokenLogprobs(float(logprobs[token]), tuple(pairs))
