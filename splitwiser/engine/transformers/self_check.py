"""Owns the proof, at load time, that a model over pages computes what it computes by itself.

Architectures differ in ways that no list keeps up with: biases by position, shifted tokens, states of their own. A
model that needs what the pool does not hold fails here, before it serves a wrong token.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from splitwiser.engine.transformers.forward import Forward
from splitwiser.engine.transformers.plan import Span

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PAGE_TOKENS = 4
PAGES = 5
_PAGES = ((0, 2), (1, 3, 4))
_ENDS = ((3, 6, 7), (5, 10, 11))
"""Two prompts, each in two chunks packed with the other's, then one decoded token."""


def native_logits(model: "PreTrainedModel") -> torch.Tensor:
    """Logits of the prompts' last rows and of the decoded ones, by the model alone: [4, vocabulary]."""
    rows = []
    for token_ids, (_, prompt, total) in zip(_token_ids(model), _ENDS, strict=True):
        logits = model(input_ids=torch.tensor([token_ids], device=model.device), use_cache=False).logits[0]
        rows += [logits[prompt - 1], logits[total - 1]]
    return torch.stack(rows)


def paged_logits(model: "PreTrainedModel", forward: Forward) -> torch.Tensor:
    """The same over a pool of PAGES pages of PAGE_TOKENS tokens, whose contents are lost."""
    token_ids = _token_ids(model)
    _, prompts, decoded = (forward([*_spans(token_ids, step)]) for step in range(3))
    return torch.stack((prompts[0], decoded[0], prompts[1], decoded[1]))


def check(native: torch.Tensor, paged: torch.Tensor) -> None:
    """Raises NotImplementedError when they differ by more than rounding, which is far below what one wrong key does."""
    difference = (native - paged).abs().max() / native.std()
    allowed = 3 * torch.finfo(native.dtype).eps ** 0.5
    if not difference <= allowed:
        raise NotImplementedError(f"over pages its logits differ by {difference:.2g} of their spread")


def _spans(token_ids: Sequence[list[int]], step: int) -> Iterator[Span]:
    for ids, ends, pages in zip(token_ids, _ENDS, _PAGES, strict=True):
        start = ends[step - 1] if step else 0
        yield Span(ids[start : ends[step]], start, ends[max(step, 1)], pages)


def _token_ids(model: "PreTrainedModel") -> list[list[int]]:
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    draw = torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (ends[-1],), generator=draw).tolist() for ends in _ENDS]
