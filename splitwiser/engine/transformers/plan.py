"""Owns what one step does to the pool: which rows go in, where their KV is written, and which keys each row may see.

All sequences of a step stand in one packed row of tokens. A prefill chunk and a decode slot are the same thing here, a
Span: some tokens of one sequence, those before them already in pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise

import torch

from splitwiser.engine.batch import DecodeSlot, PrefillChunk

KEY_BLOCK = 512
"""Keys that torch's attention on a CPU sums over at a time (kvSplitSize in ATen's FlashAttentionKernel.cpp).

A row's last block is as long for a prompt's early rows as for its late ones. Chunks whose keys are padded to the same
border round as the whole prompt does in one call; cut anywhere else, they would differ in the last bit.
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens of one sequence, from position start on. total: those known of it, later chunks included."""

    token_ids: Sequence[int]
    start: int
    total: int
    pages: Sequence[int]

    @property
    def end(self) -> int:
        return self.start + len(self.token_ids)

    @property
    def completes(self) -> bool:
        """Whether the last token is the last one known, so that the next is to be sampled."""
        return self.end == self.total


@dataclass(frozen=True, slots=True)
class Block:
    """Rows first to last of a span, attended to in one call, over the keys low to high.

    mask: [rows, keys], true where a row sees a key. None: it sees all of them or, if causal, those up to its own.
    """

    first: int
    last: int
    low: int
    high: int
    mask: torch.Tensor | None = None
    causal: bool = False

    def to(self, device: torch.device) -> "Block":
        """The same block with its mask on that device."""
        return self if self.mask is None else replace(self, mask=self.mask.to(device))


@dataclass(frozen=True, slots=True)
class Step:
    """One step as tensors.

    token_ids, positions: [1, rows]. slots: [rows], where each row's KV goes: page * page_tokens + offset in the page.
    pages: [pages read], span after span. rows: of each span. reads: for each span two counts, the tokens of its pages
    that are read and those that are not. single: every span is one row, which sees all that is read.
    """

    spans: Sequence[Span]
    token_ids: torch.Tensor
    positions: torch.Tensor
    slots: torch.Tensor
    pages: torch.Tensor
    rows: list[int]
    reads: list[int]
    single: bool
    _blocks: dict[int | None, list[list[Block]]] = field(default_factory=dict)

    def blocks(self, window: int | None) -> list[list[Block]]:
        """Each span's blocks, cut once for all the layers of one window."""
        if window not in self._blocks:
            device = self.slots.device
            self._blocks[window] = [[b.to(device) for b in cut(span, window)] for span in self.spans]
        return self._blocks[window]


def span_of_chunk(chunk: PrefillChunk) -> Span:
    """What a prefill step does for one prompt."""
    return Span(chunk.token_ids[chunk.start : chunk.end], chunk.start, len(chunk.token_ids), chunk.pages)


def span_of_slot(slot: DecodeSlot) -> Span:
    """What a decode step does for one sequence."""
    return Span((slot.token,), slot.position, slot.position + 1, slot.pages)


def plan(spans: Sequence[Span], page_tokens: int, device: torch.device | None = None) -> Step:
    """The step that runs these spans. device: where it is computed; None: on the CPU."""
    highs = [_high(span) for span in spans]
    counts = [-(-high // page_tokens) for high in highs]
    positions = [position for span in spans for position in range(span.start, span.end)]
    pages = [span.pages[position // page_tokens] for span in spans for position in range(span.start, span.end)]
    reads = [(high, count * page_tokens - high) for high, count in zip(highs, counts, strict=True)]
    return Step(
        spans,
        token_ids=torch.tensor([list(chain.from_iterable(span.token_ids for span in spans))], device=device),
        positions=torch.tensor([positions], device=device),
        slots=torch.tensor(
            [page * page_tokens + at % page_tokens for page, at in zip(pages, positions, strict=True)], device=device
        ),
        pages=torch.tensor(
            list(chain.from_iterable(s.pages[:count] for s, count in zip(spans, counts, strict=True))), device=device
        ),
        rows=[len(span.token_ids) for span in spans],
        reads=list(chain.from_iterable(reads)),
        single=all(len(span.token_ids) == 1 and span.completes for span in spans),
    )


def cut(span: Span, window: int | None = None) -> list[Block]:
    """A span's blocks. window: how many keys a row sees, its own included; None: all."""
    rows, reach = len(span.token_ids), window or span.total
    if rows == 1 and span.completes:
        return [Block(0, 1, max(0, span.end - reach), span.end)]
    if rows == span.total <= reach:
        return [Block(0, rows, 0, rows, causal=True)]
    borders = [span.start, *range((span.start // KEY_BLOCK + 1) * KEY_BLOCK, span.end, KEY_BLOCK), span.end]
    return [_triangle(span, first, last, reach) for first, last in pairwise(borders)]


def _high(span: Span) -> int:
    """Keys that the last row is computed over: those up to its own, then masked ones up to the border."""
    return min(-(-span.end // KEY_BLOCK) * KEY_BLOCK, span.total)


def _triangle(span: Span, first: int, last: int, reach: int) -> Block:
    """Positions first to last, between two borders; whole blocks of keys that none of them sees are left out."""
    low = max(0, first + 1 - reach) // KEY_BLOCK * KEY_BLOCK
    high = min(-(-last // KEY_BLOCK) * KEY_BLOCK, span.total)
    mask = torch.ones(last - first, high - low, dtype=torch.bool).tril_(first - low).triu_(first - low + 1 - reach)
    return Block(first - span.start, last - span.start, low, high, mask)
