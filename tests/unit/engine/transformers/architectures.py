"""Small random models of the library's architectures: those that are served, and those that are refused."""

from pathlib import Path
from typing import Any

from splitwiser.engine.transformers.tiny import make_tiny

ATTENTION = """
    afmoe apertus arcee aria_text axk1 biogpt bitnet cohere cohere2 cohere2_moe ctrl cwm deepseek_v2 deepseek_v3 dots1
    ernie4_5 ernie4_5_moe exaone4 exaone_moe flex_olmo gemma gemma2 gemma3_text gemma4_text glm glm4 glm4_moe
    glm4_moe_lite gpt2 gpt_bigcode gpt_neox gpt_oss granite granite_swa granitemoe granitemoeshared helium
    hunyuan_v1_dense hunyuan_v1_moe hy_v3 hyperclovax jais2 jetmoe laguna llama mellum mimo_v2_flash minicpm3 minimax_m2
    ministral ministral3 mistral mixtral modernbert-decoder nanochat olmo olmo2 olmo3 olmoe opt persimmon phi phi3 qwen2
    qwen2_moe qwen3 qwen3_moe seed_oss smollm3 solar_open starcoder2 vaultgemma youtu
""".split()
CACHE = "bloom codegen diffllama falcon gpt_neo gpt_neox_japanese gptj mpt nemotron phimoe stablelm xglm".split()
REFUSED = {
    "falcon_h1": "layers of type hybrid",
    "falcon_mamba": "layers of type linear_attention",
    "llama4_text": "layers of type chunked_attention",
    "minimax": "layers of type linear_attention",
    "moshi": "its window is in its cache",
    "qwen3_next": "layers of type linear_attention",
    "recurrent_gemma": "carries a state",
    "rwkv": "carries a state",
}

_SMALL: dict[str, Any] = {
    "first_k_dense_replace": 1,
    "kv_lora_rank": 32,
    "moe_intermediate_size": 64,
    "n_group": 1,
    "n_routed_experts": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_local_experts": 4,
    "q_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 16,
    "shared_expert_intermediate_size": 64,
    "topk_group": 1,
    "v_head_dim": 32,
}
_SLIDING = """
    afmoe cohere2 cohere2_moe cwm exaone4 exaone_moe gemma2 gemma3_text gemma4_text gpt_oss granite_swa laguna mellum
    mimo_v2_flash ministral ministral3 mistral mixtral modernbert-decoder moshi olmo3 phi3 phimoe smollm3 starcoder2
    vaultgemma
""".split()
_LATENT = ("axk1", "deepseek_v2", "deepseek_v3", "glm4_moe_lite", "minicpm3", "youtu")
_OWN: dict[str, dict[str, Any]] = {
    **{name: {"head_dim": None, "num_key_value_heads": 4} for name in _LATENT},
    "bloom": {"n_head": 4, "n_layer": 4},
    "codegen": {"rotary_dim": 16},
    "dots1": {"n_shared_experts": 1, "num_key_value_heads": 4},
    "falcon": {"head_dim": None},
    "gemma4_text": {"hidden_size_per_layer_input": 32, "vocab_size_per_layer_input": 512},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "num_layers": 4, "window_size": 48},
    "gptj": {"rotary_dim": 16},
}


def make_small(folder: Path, architecture: str) -> Path:
    """A model that is quick to run, with a window that prompts of 50 tokens leave."""
    window = {"sliding_window": 48} if architecture in _SLIDING else {}
    return make_tiny(folder / architecture, architecture, **_SMALL | window | _OWN.get(architecture, {}))
