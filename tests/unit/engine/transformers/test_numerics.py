"""Rounding: split logits are those of `generate` to the last bit, so that not even a near tie can fall another way."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from splitwiser.engine.transformers.build import load
from splitwiser.engine.transformers.forward import Forward
from splitwiser.engine.transformers.library import load_model
from splitwiser.engine.transformers.plan import Span
from splitwiser.engine.transformers.tiny import ARCHITECTURES
from splitwiser.memory.local_segments import LocalSegments
from tests.unit.engine.transformers.serving import settings_of

TOKENS, CHUNK = 6, 170


def rows_are_independent() -> bool:
    rows, weight = torch.randn(40, 256), torch.randn(384, 256)
    product = torch.nn.functional.linear(rows, weight)
    return all(torch.equal(torch.nn.functional.linear(rows[:n], weight), product[:n]) for n in (1, 2, 7, 16))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
async def test_logits_are_those_of_generate_to_the_bit(architecture: str, tiny_model: Callable[[str], Path]) -> None:
    if not rows_are_independent():
        pytest.skip("this processor's BLAS rounds a row by the size of its batch")
    random = Random(4)
    prompts = [[random.randrange(512) for _ in range(length)] for length in (1, 33, 300, 520, 780)]
    forward = (await load(settings_of(tiny_model(architecture), pages=256), LocalSegments())).forward
    with torch.inference_mode():
        answers = [unsplit(tiny_model(architecture), prompt) for prompt in prompts]
        pages = [random.sample(range(start, 256, 5), 50) for start in range(5)]
        assert all(
            torch.equal(row, answer[0]) for row, answer in zip(prefilled(forward, prompts, pages), answers, strict=True)
        )
        for step in range(1, TOKENS):
            spans = [one_more(*each, step) for each in zip(prompts, answers, pages, strict=True)]
            assert all(torch.equal(row, answer[step]) for row, answer in zip(forward(spans), answers, strict=True))


def one_more(prompt: list[int], answer: list[torch.Tensor], pages: list[int], step: int) -> Span:
    """What decode does for a prompt at a step: the token of the step before goes in."""
    length = len(prompt) + step
    return Span([int(answer[step - 1].argmax())], length - 1, length, pages)


def unsplit(model: Path, prompt: list[int]) -> list[torch.Tensor]:
    """The logits of each of the TOKENS tokens that generate brings."""
    loaded = load_model(str(model), "float32")
    loaded.generation_config = GenerationConfig(do_sample=False, pad_token_id=0)
    generate: Any = loaded.generate
    token_ids = torch.tensor([prompt])
    answer = generate(
        token_ids,
        attention_mask=torch.ones_like(token_ids),
        max_new_tokens=TOKENS,
        return_dict_in_generate=True,
        output_logits=True,
    )
    return [logits[0] for logits in answer.logits]


def prefilled(forward: Forward, prompts: list[list[int]], pages: list[list[int]]) -> list[torch.Tensor]:
    """Each prompt's last logits, all run together in chunks of CHUNK tokens."""
    found: dict[int, torch.Tensor] = {}
    for start in range(0, max(map(len, prompts)), CHUNK):
        batch = [n for n, prompt in enumerate(prompts) if start < len(prompt)]
        spans = [Span(prompts[n][start : start + CHUNK], start, len(prompts[n]), pages[n]) for n in batch]
        logits = iter(forward(spans))
        found |= {n: next(logits) for n, span in zip(batch, spans, strict=True) if span.completes}
    return [found[n] for n in range(len(prompts))]
