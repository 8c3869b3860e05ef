"""A process for Nsight Compute: `MODEL DTYPE PROMPT_TOKENS BATCH` runs one prefill and one decode step.

The transformers library's own forward pass, with its own cache, each phase in an NVTX range.
"""

import sys
from typing import Any

import torch

from splitwiser.engine.transformers.library import load_model

PREFILL, DECODE = "prefill", "decode"


@torch.inference_mode()
def run(model: Any, token_ids: torch.Tensor) -> None:
    """token_ids: [batch, tokens]."""
    torch.cuda.nvtx.range_push(PREFILL)
    output = model(token_ids, use_cache=True)
    following = output.logits[:, -1:].argmax(-1)
    torch.cuda.synchronize()
    torch.cuda.nvtx.range_pop()
    torch.cuda.nvtx.range_push(DECODE)
    model(following, past_key_values=output.past_key_values, use_cache=True)
    torch.cuda.synchronize()
    torch.cuda.nvtx.range_pop()


def main(model: str, dtype: str, prompt_tokens: str, batch: str) -> None:
    loaded = load_model(model, dtype)
    loaded.to("cuda")  # type: ignore[arg-type]
    token_ids = torch.randint(1, 500, (int(batch), int(prompt_tokens)), device="cuda")
    run(loaded, token_ids)


if __name__ == "__main__":
    main(*sys.argv[1:])
