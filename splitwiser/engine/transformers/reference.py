"""Owns the right answers: the same model, unsplit and alone, through the library's own `generate`."""

from collections.abc import Callable, Sequence

import torch

from splitwiser.engine.base import Sampling
from splitwiser.engine.transformers.library import load_model
from splitwiser.engine.transformers.numerics import set_up_arithmetic
from splitwiser.engine.transformers.sampling import sample


class Reference:
    """A model with weights, cache and attention of its own. model: a Hugging Face id or folder."""

    def __init__(self, model: str, *, dtype: str = "float32", threads: int = 1, device: str = "cpu") -> None:
        set_up_arithmetic(threads)
        from transformers import GenerationConfig

        self._model = load_model(model, dtype)
        self._model.to(device)  # type: ignore[arg-type]
        if getattr(self._model.config, "attn_logit_softcapping", None):
            # The library's default attention leaves the cap out.
            self._model.set_attn_implementation("eager")
        # Not the checkpoint's, which may sample, penalize, or end the sequence.
        self._model.generation_config = GenerationConfig(do_sample=False, pad_token_id=0)

    @torch.inference_mode()
    def generate(self, prompt_ids: Sequence[int], tokens: int) -> list[int]:
        """The next tokens, greedy, whatever they are."""
        return self._generate(prompt_ids, tokens, [])

    @torch.inference_mode()
    def sample(self, prompt_ids: Sequence[int], tokens: int, sampling: Sampling) -> list[int]:
        """The next tokens, drawn as the engine draws them."""
        return self._generate(prompt_ids, tokens, [SeededDraw(sampling, len(prompt_ids))])

    def _generate(self, prompt_ids: Sequence[int], tokens: int, processors: list["SeededDraw"]) -> list[int]:
        input_ids = torch.tensor([prompt_ids], device=self._model.device)
        generate: Callable[..., torch.Tensor] = self._model.generate  # type: ignore[assignment]
        output = generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=tokens,
            logits_processor=processors,
        )
        answer: list[int] = output[0, len(prompt_ids) :].tolist()
        return answer


class SeededDraw:
    """A logits processor that leaves one token to choose: the one that is drawn."""

    def __init__(self, sampling: Sampling, prompt_tokens: int) -> None:
        self._sampling = sampling
        self._prompt_tokens = prompt_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """input_ids: [1, tokens so far]; scores: [1, vocabulary]."""
        index = input_ids.shape[1] - self._prompt_tokens
        token = sample(scores, [self._sampling], [index])[0]
        return torch.full_like(scores, -torch.inf).index_fill_(1, torch.tensor([token], device=scores.device), 0)
