"""Owns vLLM's configuration, from the stack's settings, and what is refused before anything is loaded."""

from collections.abc import Iterator
from typing import Any

from vllm import EngineArgs
from vllm.config import ModelConfig, VllmConfig
from vllm.platforms import current_platform

from splitwiser.config.schema import Settings
from splitwiser.engine.base import Phase
from splitwiser.engine.vllm.blocks import SCRATCH_PAGES, AsyncLentScheduler, LentScheduler
from splitwiser.engine.vllm.environment import compilation
from splitwiser.engine.vllm.weights import LOAD_FORMAT
from splitwiser.errors import StartupError
from splitwiser.text.model_info import load_model

_SMALL_PART = 0.001
_ON_A_CPU: dict[str, Any] = {"scheduler_cls": LentScheduler, "async_scheduling": False, "enforce_eager": True}
_CUDA_GRAPHS: dict[Phase, str] = {
    # A chunk of a prompt is like no other. vLLM would capture the parts between attention for steps of at most
    # 2 * prefill.max_batch tokens: seconds of each start, and memory, for prompts that are shorter than that.
    "prefill": "NONE",
    # Every step has one token of each sequence, so all of a step can be one graph.
    "decode": "FULL_DECODE_ONLY",
}


def engine_config(settings: Settings, phase: Phase) -> VllmConfig:
    """The configuration of one phase's engine. Raises StartupError for what this engine does not serve."""
    _check_build(settings.engine.device)
    try:
        config: VllmConfig = engine_args(settings, phase).create_engine_config()
    except (ValueError, OSError) as error:
        raise StartupError(
            f"vLLM does not take {settings.engine.model}: {error}",
            help="choose a model that vLLM serves, or the transformers engine",
            field="engine.model",
        ) from error
    for reason in _refusals(config.model_config):
        raise StartupError(
            f"{settings.engine.model} is not supported by the vllm engine: {reason}",
            help="choose a dense decoder-only text model, or the transformers engine",
            field="engine.model",
        )
    return config


def engine_args(settings: Settings, phase: Phase) -> EngineArgs:
    """What vLLM is asked for in one phase's engine; it decides the rest."""
    info, _ = load_model(settings)
    pool = settings.pool
    sequences = settings.prefill.max_batch if phase == "prefill" else settings.decode.max_batch
    # A decode step has one token of each sequence.
    step_tokens = max(settings.prefill.chunk_tokens, sequences) if phase == "prefill" else sequences
    return EngineArgs(
        model=settings.engine.model,
        skip_tokenizer_init=True,
        dtype=settings.engine.dtype,
        # A longer request could never get its pages.
        max_model_len=min(info.max_tokens, pool.pages * pool.page_tokens),
        block_size=pool.page_tokens,
        num_gpu_blocks_override=pool.pages + SCRATCH_PAGES,
        # Only its presence matters: it stands for the measurement of what is free, by a forward pass.
        kv_cache_memory_bytes=1,
        enable_prefix_caching=False,
        max_num_seqs=sequences,
        max_num_batched_tokens=step_tokens,
        enable_chunked_prefill=True,
        scheduling_policy="priority",
        # vLLM would ask for this part of the GPU to be free, which weights and pool of the stack have taken already.
        gpu_memory_utilization=_SMALL_PART,
        load_format=LOAD_FORMAT,
        distributed_executor_backend="uni",
        disable_log_stats=True,
        **(_on_a_gpu(settings, phase) if settings.engine.device == "cuda" else _ON_A_CPU),
    )


def _on_a_gpu(settings: Settings, phase: Phase) -> dict[str, Any]:
    compiled = compilation(settings.engine) | {"cudagraph_mode": _CUDA_GRAPHS[phase]}
    # A step that is scheduled while another runs could not be held back when that one ends.
    ahead = phase == "decode" or not settings.prefill.itl_target_ms
    scheduler = AsyncLentScheduler if ahead else LentScheduler
    return {"scheduler_cls": scheduler, "async_scheduling": ahead, "compilation_config": compiled}


def _check_build(device: str) -> None:
    """A build of vLLM computes on one kind of device, whatever it is asked for."""
    built_for = current_platform.device_type
    if built_for != device:
        raise StartupError(
            f"this vLLM computes on {built_for}, and engine.device is {device}",
            help=f"install vLLM's build for {device}, or set engine.device={built_for}",
            field="engine.device",
        )


def _refusals(model: ModelConfig) -> Iterator[str]:
    if model.is_moe:
        yield "it has experts"
    if model.is_multimodal_model:
        yield "it takes more than text"
    if model.is_hybrid or model.is_attention_free:
        yield "not all of its layers are attention"
    if model.is_encoder_decoder:
        yield "it has an encoder"
    if model.is_quantized or model.quantization is not None:
        yield "its weights are quantized"
    if model.runner_type != "generate":
        yield "it does not generate text"
