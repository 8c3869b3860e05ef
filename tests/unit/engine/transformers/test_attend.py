"""Attention over pages against the plain formula: grouped heads, windows, softcap, sinks, and pages full of NaN."""

from dataclasses import replace

import pytest
import torch

from splitwiser.engine.transformers.attend import PagedAttend
from splitwiser.engine.transformers.attention import Options
from splitwiser.engine.transformers.plan import Span, plan
from splitwiser.engine.transformers.pool import LayerPool

HEADS, KV_HEADS, DIM, PAGE_TOKENS, PAGES = 4, 2, 16, 4, 300

OPTIONS = {
    "plain": Options(),
    "scaled": Options(scaling=0.3),
    "window": Options(window=5),
    "softcap": Options(softcap=2.0),
    "sinks": Options(sinks=torch.tensor([0.5, -1.0, 2.0, 0.0])),
    "all": Options(0.3, 5, 2.0, torch.tensor([0.5, -1.0, 2.0, 0.0])),
}
# Prompts short and over a border, whole and in chunks; then decoded tokens.
SPANS = {
    "whole": (0, 9, 9),
    "first chunk": (0, 5, 21),
    "later chunk": (5, 16, 21),
    "across a border": (500, 530, 600),
    "decoded": (33, 34, 34),
}


def attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, options: Options, start: int) -> torch.Tensor:
    """q: [heads, rows, dim]; k, v: [kv_heads, keys, dim], all of the sequence."""
    k, v = (part.repeat_interleave(HEADS // KV_HEADS, 0) for part in (k, v))
    scores = q @ k.mT * (options.scaling or DIM**-0.5)
    if options.softcap:
        scores = options.softcap * torch.tanh(scores / options.softcap)
    rows, keys = torch.arange(start, start + q.shape[1])[:, None], torch.arange(k.shape[1])
    scores[:, (keys > rows) | (keys <= rows - (options.window or 10**6))] = -torch.inf
    exponentials = scores.exp()
    total = exponentials.sum(-1, keepdim=True)
    if options.sinks is not None:
        total += options.sinks.exp()[:, None, None]
    return exponentials / total @ v


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("names", [[name] for name in SPANS] + [list(SPANS), ["decoded", "decoded"]], ids=str)
def test_every_span_attends_to_its_own_pages(names: list[str], options: Options) -> None:
    torch.manual_seed(0)
    # What no row may see is NaN: pages of others, and those of a sequence that are not written yet.
    pool = LayerPool(*torch.full((2, PAGES, PAGE_TOKENS, KV_HEADS, DIM), torch.nan))
    free = iter(torch.randperm(PAGES).tolist())
    spans, inputs, expected = [], [], []
    for start, end, total in (SPANS[name] for name in names):
        q, k, v = torch.randn(HEADS, end, DIM), torch.randn(KV_HEADS, end, DIM), torch.randn(KV_HEADS, end, DIM)
        span = Span(range(end - start), start, total, [next(free) for _ in range(-(-total // PAGE_TOKENS))])
        past = replace(span, token_ids=range(start), start=0, total=max(start, 1))
        if start:
            pool.write(plan([past], PAGE_TOKENS).slots, k[None, :, :start], v[None, :, :start])
        spans.append(span)
        inputs.append((q[None, :, start:], k[None, :, start:], v[None, :, start:]))
        expected.append(attended(q[:, start:], k, v, options, start))
    query, key, value = (torch.cat(parts, 2) for parts in zip(*inputs, strict=True))
    output = PagedAttend([pool], plan(spans, PAGE_TOKENS))(0, query, key, value, options)
    torch.testing.assert_close(output[0].transpose(0, 1), torch.cat(expected, 1))
