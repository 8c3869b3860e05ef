"""Owns the tiny models: checkpoints with random weights, made on the spot, the same for the same seed.

They serve wherever a real model's shape matters and its knowledge does not: the demo, the tests, `splitwiser verify`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from splitwiser.engine.transformers.library import keep_quiet
from splitwiser.engine.transformers.tiny_text import END_OF_TEXT_ID, save_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ARCHITECTURES = ("llama", "opt", "qwen3", "gpt_neox")

_SHAPE: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    # Wide enough that attention is peaked: a wrong page then changes the next token, not only its probability.
    "initializer_range": 0.15,
    "bos_token_id": END_OF_TEXT_ID,
    "eos_token_id": END_OF_TEXT_ID,
    "pad_token_id": END_OF_TEXT_ID,
}
_OWN_NAMES: dict[str, dict[str, Any]] = {
    "opt": {"ffn_dim": 256, "word_embed_proj_dim": 128, "init_std": 0.15, "dropout": 0.0},
}


def make_tiny(folder: Path, architecture: str = "llama", *, seed: int = 0, **overrides: Any) -> Path:
    """Write config, generation config, weights (float32) and tokenizer into folder, and return it.

    architecture: a model_type of the transformers library; ARCHITECTURES are those that the tests lean on.
    overrides: fields of its configuration, by the library's names; None leaves one to the library.
    """
    # Imported late: the library takes seconds, and a command line that only names this module should not pay.
    from transformers import AutoConfig, AutoModelForCausalLM

    keep_quiet()
    fields = _SHAPE | _OWN_NAMES.get(architecture, {}) | overrides
    config = AutoConfig.for_model(architecture, **{name: value for name, value in fields.items() if value is not None})
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(folder, config.vocab_size, config.max_position_embeddings)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        _stir(model)
    model.save_pretrained(folder)
    return folder


def _stir(model: "PreTrainedModel") -> None:
    """Biases and norms start at 0 and 1, where a forgotten one would not show."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
