"""Owns checkpoints with random weights of a real model's shape: a process, `FOLDER ARCHITECTURE DTYPE FIELDS`.

For measuring alone: what the model says does not matter, what it costs does. Weights are drawn on the GPU where there
is one. The tokenizer is a small one, since prompts are token ids; a token that it does not know has no text.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from splitwiser.engine.transformers.library import keep_quiet
from splitwiser.engine.transformers.numerics import torch_dtype
from splitwiser.engine.transformers.tiny_text import END_OF_TEXT_ID, save_tokenizer

TOKENIZER_TOKENS = 512


def make_random(folder: Path, architecture: str, dtype: str, fields: dict[str, Any]) -> Path:
    """Write a checkpoint. fields: of the configuration, by the transformers library's names."""
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    keep_quiet()
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), END_OF_TEXT_ID)
    config = AutoConfig.for_model(architecture, **(fields | ends))
    config.dtype = torch_dtype(dtype)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=config.dtype)
    config.architectures = [type(model).__name__]
    torch.manual_seed(0)
    tied = set(getattr(model, "_tied_weights_keys", None) or ()) if config.tie_word_embeddings else set()
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    tensors = {name: _draw(p.shape, config.dtype) for name, p in model.named_parameters() if name not in tied}
    save_file(tensors, draft / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(draft)
    save_tokenizer(draft, min(TOKENIZER_TOKENS, config.vocab_size), config.max_position_embeddings)
    draft.rename(folder)
    return folder


def _draw(shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if len(shape) == 1:
        return torch.ones(shape, dtype=dtype)
    drawn: torch.Tensor = torch.randn(shape, device=device) * shape[-1] ** -0.5
    return drawn.to(dtype).cpu()


if __name__ == "__main__":
    make_random(Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
