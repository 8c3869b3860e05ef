"""Owns what vLLM takes from the environment. It is read once, when vLLM and torch are imported: so this comes first.

And what makes equal tokens, split and unsplit, which is in part read from there: engine.batch_invariant.
"""

import os
from typing import Any

from splitwiser.config.schema import EngineSettings


def prepare_environment(engine: EngineSettings) -> None:
    """Set what the worker needs; a value of vLLM's own that is there already stays."""
    os.environ["OMP_NUM_THREADS"] = str(engine.threads)
    if _is_invariant(engine):
        os.environ |= _BATCH_INVARIANT
    # A row's result must not hang on how many rows its batch has; see engine/transformers/numerics.py.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def compilation(engine: EngineSettings) -> dict[str, Any]:
    """What of vLLM's compilation_config is the same for both phases, and for a vLLM that is compared with them."""
    # torch.compile would replace vLLM's own norms, which add up a row in one order whatever the batch, by code whose
    # order hangs on the sizes it was made for, and on what was fastest in that moment: another one in each process.
    return {"mode": 0} if _is_invariant(engine) else {}


def own_offload(engine: EngineSettings) -> dict[str, Any]:
    """What a whole vLLM with weights of its own gets, where the stack keeps a part of its weights on the host."""
    return {"cpu_offload_gb": engine.weight_offload_gib} if engine.device == "cuda" else {}


def _is_invariant(engine: EngineSettings) -> bool:
    # On a CPU it needs neither: nothing is compiled, and MKL_CBWR is for the batch.
    return engine.batch_invariant and engine.device == "cuda"


_BATCH_INVARIANT = {
    "VLLM_BATCH_INVARIANT": "1",
    # vLLM would turn it on by itself for the shapes of some models, with CUDA graphs of another kind.
    "VLLM_USE_BREAKABLE_CUDAGRAPH": "0",
    "VLLM_FLOAT32_MATMUL_PRECISION": "highest",
}
_DEFAULTS = {
    # The worker holds the pages, so the engine that computes on them lives and dies in its process.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # Two workers that both pin themselves would share one core.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    # Standard output is the caller's.
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
}
