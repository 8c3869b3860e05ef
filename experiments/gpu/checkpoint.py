"""Owns checkpoints with random weights of a real model's shape, made on the GPU in seconds."""

from pathlib import Path
from typing import Any

from splitwiser.engine.transformers.random_model import make_random

VOCABULARY = 512
"""Small, so that any token id is text. vocab_size may be larger: the tokenizer has no text for the rest."""
LLAMA_3_8B: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
}


def make_checkpoint(folder: Path, **overrides: Any) -> Path:
    """Llama-3-8B's layers in bfloat16, with overrides of its configuration."""
    return make_random(folder, "llama", "bfloat16", LLAMA_3_8B | overrides)


if __name__ == "__main__":
    import sys

    # NAME=NUMBER overrides a field of the configuration, such as vocab_size=128256.
    make_checkpoint(
        Path(sys.argv[1]), **{name: int(value) for name, _, value in (a.partition("=") for a in sys.argv[2:])}
    )
