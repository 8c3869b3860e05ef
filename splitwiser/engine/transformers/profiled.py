"""A process to be profiled: `MODEL DTYPE TOKENSxBATCH...` runs one prefill and one decode step at each of these points.

The transformers library's own forward pass, with its own cache. For Nsight Compute each step is one CUDA graph,
replayed once in an NVTX range named as the phase. With `--repeat PHASE SECONDS FILE` that phase runs alone for so long,
and when it did goes to FILE.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from splitwiser.engine.transformers.library import load_model

PREFILL, DECODE = "prefill", "decode"
Step = Callable[[], None]


@torch.inference_mode()
def steps_of(model: Any, token_ids: torch.Tensor) -> dict[str, Step]:
    """A step of each phase, to be run any number of times. token_ids: [batch, tokens]."""
    cache = model(token_ids, use_cache=True, logits_to_keep=1).past_key_values

    def prefill() -> None:
        model(token_ids, use_cache=True, logits_to_keep=1)

    def decode() -> None:
        model(token_ids[:, -1:], past_key_values=cache, use_cache=True)
        cache.crop(-1)

    return {PREFILL: prefill, DECODE: decode}


@torch.inference_mode()
def replay_once(phase: str, step: Step) -> None:
    """The step's kernels, one right after the other: a host that launches them slowly is not the GPU's figure."""
    step()  # What is done for the first time, such as loading a kernel, cannot be captured.
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    torch.cuda.nvtx.range_push(phase)
    graph.replay()
    torch.cuda.synchronize()
    torch.cuda.nvtx.range_pop()


@torch.inference_mode()
def repeat(step: Step, seconds: float, wait: Step) -> dict[str, int]:
    """The step again and again, after once for nothing. When it began and ended (wall clock), and how many."""
    step()
    wait()
    begin_ns, steps = time.time_ns(), 0
    while time.time_ns() - begin_ns < seconds * 1e9:
        step()
        wait()
        steps += 1
    return {"begin_ns": begin_ns, "end_ns": time.time_ns(), "steps": steps}


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("model")
    parser.add_argument("dtype")
    parser.add_argument("--repeat", nargs=3, metavar=("PHASE", "SECONDS", "FILE"))
    parser.add_argument("points", nargs="+")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(options.model, options.dtype)
    model.to(device)  # type: ignore[arg-type]
    wait: Step = torch.cuda.synchronize if device == "cuda" else lambda: None
    for point in options.points:
        tokens, batch = map(int, point.split("x"))
        steps = steps_of(model, torch.randint(1, 500, (batch, tokens), device=device))
        if options.repeat:
            phase, seconds, file = options.repeat
            Path(file).write_text(json.dumps(repeat(steps[phase], float(seconds), wait)))
        else:
            for phase, step in steps.items():
                replay_once(phase, step)


if __name__ == "__main__":
    main()
