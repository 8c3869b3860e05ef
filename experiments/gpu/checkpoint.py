"""Owns checkpoints with random weights of a real model's shape, made on the GPU in seconds."""

from pathlib import Path
from typing import Any

from splitwiser.engine.transformers.tiny_text import END_OF_TEXT_ID, save_tokenizer

VOCABULARY = 512
"""Small, so that any token id is text: what is measured does not hang on it."""
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
    "bos_token_id": END_OF_TEXT_ID,
    "eos_token_id": END_OF_TEXT_ID,
    "pad_token_id": END_OF_TEXT_ID,
}


def make_checkpoint(folder: Path, **overrides: Any) -> Path:
    """Llama-3-8B's layers in bfloat16, with overrides of its configuration."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("llama", **(LLAMA_3_8B | overrides))
    config.architectures, config.dtype = ["LlamaForCausalLM"], torch.bfloat16
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    tensors = {name: _draw(tuple(parameter.shape)).cpu() for name, parameter in model.named_parameters()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    save_tokenizer(folder, VOCABULARY, config.max_position_embeddings)
    return folder


def _draw(shape: tuple[int, ...]) -> Any:
    import torch

    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16, device="cuda")
    return (torch.randn(shape, device="cuda") * shape[-1] ** -0.5).to(torch.bfloat16)


if __name__ == "__main__":
    import sys

    make_checkpoint(Path(sys.argv[1]), **({"num_hidden_layers": int(sys.argv[2])} if len(sys.argv) > 2 else {}))
