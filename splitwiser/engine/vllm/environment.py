"""Owns what vLLM takes from the environment. It is read once, when vLLM and torch are imported: so this comes first."""

import os

from splitwiser.config.schema import EngineSettings


def prepare_environment(engine: EngineSettings) -> None:
    """Set what the worker needs; a value of vLLM's own that is there already stays."""
    os.environ["OMP_NUM_THREADS"] = str(engine.threads)
    if engine.batch_invariant and engine.device == "cuda":
        os.environ["VLLM_BATCH_INVARIANT"] = "1"
    # A row's result must not hang on how many rows its batch has; see engine/transformers/numerics.py.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


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
