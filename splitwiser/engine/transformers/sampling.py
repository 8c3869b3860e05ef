"""Owns how a token is drawn from logits: each row by its own parameters, and by nothing of its neighbours'.

A row's arithmetic never hangs on what else is in the batch: not on its size, nor on whether other rows are filtered.
"""

from collections.abc import Sequence

import torch

from splitwiser.engine.base import Sampling
from splitwiser.engine.draw import uniform


def sample(logits: torch.Tensor, samplings: Sequence[Sampling], indices: Sequence[int]) -> list[int]:
    """One token for each row. logits: [rows, vocabulary]; indices: which token of its request each row's is."""
    tokens = logits.argmax(dim=1)
    for filtered in (False, True):
        rows = [row for row, s in enumerate(samplings) if s.temperature > 0 and _is_filtered(s) == filtered]
        if rows:
            tokens[rows] = _draw(
                logits[rows], [samplings[row] for row in rows], [indices[row] for row in rows], filtered
            )
    chosen: list[int] = tokens.tolist()
    return chosen


def _is_filtered(sampling: Sampling) -> bool:
    return sampling.top_k > 0 or sampling.top_p < 1


def _draw(logits: torch.Tensor, samplings: Sequence[Sampling], indices: Sequence[int], filtered: bool) -> torch.Tensor:
    temperatures = torch.tensor([[s.temperature] for s in samplings], dtype=torch.float64, device=logits.device)
    # Less the greatest: a temperature near 0 would make infinities of both, and their difference no number.
    scores = (logits.double() - logits.amax(dim=1, keepdim=True)) / temperatures
    weights = _filtered_weights(scores, samplings) if filtered else scores.softmax(dim=1)
    draws = [uniform(s.seed, index) for s, index in zip(samplings, indices, strict=True)]
    return _invert(weights, torch.tensor(draws, dtype=torch.float64, device=logits.device)[:, None])


def _filtered_weights(scores: torch.Tensor, samplings: Sequence[Sampling]) -> torch.Tensor:
    """Probabilities of the top_k tokens, then of the fewest of those that reach top_p, in token order; others are 0."""
    vocabulary, device = scores.shape[1], scores.device
    top_k = torch.tensor([[s.top_k or vocabulary] for s in samplings], device=device)
    top_p = torch.tensor([[s.top_p] for s in samplings], dtype=torch.float64, device=device)
    ranked, token_ids = scores.sort(dim=1, descending=True, stable=True)
    weights = ranked.masked_fill(torch.arange(vocabulary, device=device) >= top_k, -torch.inf).softmax(dim=1)
    before = weights.cumsum(dim=1) - weights
    return torch.zeros_like(weights).scatter_(1, token_ids, weights.masked_fill(before >= top_p, 0))


def _invert(weights: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """The first token, in token order, at which the weights' sum passes the draw. draws: [rows, 1] in [0, 1)."""
    sums = weights.cumsum(dim=1)
    total = sums[:, -1:]
    tokens = torch.searchsorted(sums, draws * total, right=True)
    # A draw so near to 1 that the product rounds to the total belongs to the last token that has a weight.
    last = (sums < total).sum(dim=1, keepdim=True)
    return torch.minimum(tokens, last)[:, 0]
