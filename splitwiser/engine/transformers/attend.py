"""Owns the attention of one step over the pool: writes the rows' KV, reads the spans' pages, attends span by span.

Span by span and not padded to one batch: torch's CPU kernel takes the same time either way, padding would waste some,
and each call is the very one that an unsplit model makes, so that not even rounding differs.
"""

from collections.abc import Sequence

import torch
from torch.nn.functional import scaled_dot_product_attention

from splitwiser.engine.transformers.attention import Options
from splitwiser.engine.transformers.plan import Block, Step
from splitwiser.engine.transformers.pool import LayerPool


class PagedAttend:
    """An Attend over the pool's layers."""

    def __init__(self, layers: Sequence[LayerPool], step: Step) -> None:
        self._layers = layers
        self._step = step

    def __call__(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        step, pool = self._step, self._layers[layer]
        pool.write(step.slots, key, value)
        keys, values = (read.split_with_sizes(step.reads, dim=2)[::2] for read in pool.read(step.pages))
        if step.single and options.plain:
            return _attend_single(query, keys, values, options)
        for span, k, v in zip(step.spans, keys, values, strict=True):
            # Masked, but what an earlier owner left there may be no number, and 0 * NaN is NaN.
            k[:, :, span.end :] = 0
            v[:, :, span.end :] = 0
        queries = query.split_with_sizes(step.rows, dim=2)
        blocks = step.blocks(options.window)
        parts = [
            _attend_block(q, k, v, block, options)
            for q, k, v, own in zip(queries, keys, values, blocks, strict=True)
            for block in own
        ]
        return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


def _attend_single(
    query: torch.Tensor, keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor], options: Options
) -> torch.Tensor:
    """One row a span. Heads that share a KV head go in as rows of it: that reads it once, and rounds the same."""
    _, heads, rows, dim = query.shape
    kv_heads = keys[0].shape[1]
    if options.window is not None:
        keys, values = ([part[:, :, -options.window :] for part in parts] for parts in (keys, values))
    queries = query.transpose(1, 2).reshape(rows, kv_heads, heads // kv_heads, dim).split(1)
    parts = [
        scaled_dot_product_attention(q, k, v, None, 0.0, False, scale=options.scaling)
        for q, k, v in zip(queries, keys, values, strict=True)
    ]
    return torch.cat(parts).view(1, rows, heads, values[0].shape[3])


def _attend_block(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, block: Block, options: Options
) -> torch.Tensor:
    """query: [1, heads, span's rows, dim]. Returns [1, heads, block's rows, value_dim]."""
    query = query[:, :, block.first : block.last]
    key, value = key[:, :, block.low : block.high], value[:, :, block.low : block.high]
    if not options.plain:
        return _attend_by_hand(query, key, value, block, options)
    shared = key.shape[1] != query.shape[1]
    return scaled_dot_product_attention(
        query, key, value, block.mask, 0.0, block.causal, scale=options.scaling, enable_gqa=shared
    )


def _attend_by_hand(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, block: Block, options: Options
) -> torch.Tensor:
    """As the library's eager attention does: softcap (Gemma 2), and sinks, which take a share of each row (GPT-OSS)."""
    key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1) for part in (key, value))
    scores = query @ key.transpose(2, 3) * (query.shape[3] ** -0.5 if options.scaling is None else options.scaling)
    if options.softcap is not None:
        scores = torch.tanh(scores / options.softcap) * options.softcap
    mask = scores.new_ones(scores.shape[2:], dtype=torch.bool).tril_() if block.causal else block.mask
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    if options.sinks is not None:
        sinks = options.sinks.view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = torch.cat((scores, sinks), dim=3)
    weights = scores.softmax(dim=3, dtype=torch.float32)[..., : key.shape[2]].to(value.dtype)
    return weights @ value
