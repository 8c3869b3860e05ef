"""A process to be profiled: `MODEL DTYPE PROMPT_TOKENS BATCH` runs one prefill and one decode step for Nsight Compute.

The transformers library's own forward pass, with its own cache, each phase in an NVTX range. With `PHASE SECONDS FILE`
on top, that phase runs alone for so long, and when it did goes to FILE.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from splitwiser.engine.transformers.library import load_model

PREFILL, DECODE = "prefill", "decode"


@torch.inference_mode()
def run(model: Any, token_ids: torch.Tensor) -> None:
    """token_ids: [batch, tokens]."""
    torch.cuda.nvtx.range_push(PREFILL)
    output = model(token_ids, use_cache=True, logits_to_keep=1)
    following = output.logits[:, -1:].argmax(-1)
    torch.cuda.synchronize()
    torch.cuda.nvtx.range_pop()
    torch.cuda.nvtx.range_push(DECODE)
    model(following, past_key_values=output.past_key_values, use_cache=True)
    torch.cuda.synchronize()
    torch.cuda.nvtx.range_pop()


@torch.inference_mode()
def repeat(model: Any, token_ids: torch.Tensor, phase: str, seconds: float) -> dict[str, int]:
    """The phase again and again, after once for nothing. When it began and ended (wall clock), and its steps."""
    cache = model(token_ids, use_cache=True, logits_to_keep=1).past_key_values

    def step() -> None:
        if phase == PREFILL:
            model(token_ids, use_cache=True, logits_to_keep=1)
        else:
            model(token_ids[:, -1:], past_key_values=cache, use_cache=True)
            cache.crop(token_ids.shape[1])
        if token_ids.is_cuda:
            torch.cuda.synchronize()

    step()
    begin_ns, steps = time.time_ns(), 0
    while time.time_ns() - begin_ns < seconds * 1e9:
        step()
        steps += 1
    return {"begin_ns": begin_ns, "end_ns": time.time_ns(), "steps": steps}


def main(
    model: str, dtype: str, prompt_tokens: str, batch: str, phase: str = "", seconds: str = "0", file: str = ""
) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = load_model(model, dtype)
    loaded.to(device)  # type: ignore[arg-type]
    token_ids = torch.randint(1, 500, (int(batch), int(prompt_tokens)), device=device)
    if phase:
        Path(file).write_text(json.dumps(repeat(loaded, token_ids, phase, float(seconds))))
    else:
        run(loaded, token_ids)


if __name__ == "__main__":
    main(*sys.argv[1:])
