"""Owns one whole vLLM, as its own server runs it: AsyncLLM, the engine in a process of its own, all defaults on.

What a stack's settings say is passed on (chunk, batch, cache, page); prefix caching is off, as prompts are random.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from splitwiser.config.schema import Settings
from splitwiser.engine.unsplit.base import StepSink, WholeEngine, WholeJob
from splitwiser.engine.vllm.environment import compilation, own_offload, prepare_environment
from splitwiser.errors import StartupError
from splitwiser.memory.socket_path import MAX_PATH_BYTES
from splitwiser.text.model_info import load_model

SHARED = "UNSPLIT_SHARED_WEIGHTS"
"""Variable: the settings of a stack whose store keeps the weights for several engines."""
LOADER = "splitwiser.experiments.unsplit.shared_weights.SharedWeights"
"""Named, never imported: vLLM imports it in its engine's process, where weights are loaded."""
SOCKET_NAME_BYTES = 36
"""vLLM names its sockets by UUIDs."""


class StepClock:
    """When the step in flight began: when the one before had ended, or when the first request came."""

    def __init__(self) -> None:
        self._began_ns = 0

    def begin(self) -> None:
        """A request has come."""
        self._began_ns = self._began_ns or time.time_ns()

    def end(self, *, idle: bool) -> tuple[int, int]:
        """A step is over; returns when it began and ended."""
        now_ns = time.time_ns()
        began_ns, self._began_ns = self._began_ns or now_ns, 0 if idle else now_ns
        return began_ns, now_ns


class WholeVllm(WholeEngine):
    """AsyncLLM with a logger that notes every step."""

    def __init__(self, llm: Any, clock: StepClock) -> None:
        self._llm = llm
        self._clock = clock

    async def run(self) -> None:
        """vLLM turns by itself; look now and then whether it still does."""
        try:
            while True:
                await asyncio.sleep(1)
                await self._llm.check_health()
        finally:
            self._llm.shutdown()

    async def generate(self, job: WholeJob) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=job.sampling.temperature,
            top_p=job.sampling.top_p,
            seed=job.sampling.seed if job.sampling.temperature else None,
            max_tokens=job.max_tokens,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        prompt = {"prompt_token_ids": list(job.token_ids)}
        self._clock.begin()
        async for output in self._llm.generate(prompt, params, job.request_id):
            for token_id in output.outputs[0].token_ids:
                job.on_token(token_id)


def _logger(on_step: StepSink, clock: StepClock, pages: int) -> type:
    """A stat logger class: vLLM makes one a engine and tells it of every step."""
    from vllm.v1.metrics.loggers import StatLoggerBase

    class NotesSteps(StatLoggerBase):  # type: ignore[misc, unused-ignore]
        def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
            """One engine has one logger."""

        def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
            if iteration_stats is None or scheduler_stats is None:
                return
            batch = scheduler_stats.num_running_reqs
            began_ns, ended_ns = clock.end(idle=not (batch or scheduler_stats.num_waiting_reqs))
            prompt, decoded = iteration_stats.num_prompt_tokens, iteration_stats.num_generation_tokens
            if prompt or decoded:
                phase = "mixed" if prompt and decoded > 1 else "prefill" if prompt else "decode"
                used = round(scheduler_stats.kv_cache_usage * pages)
                on_step(phase, began_ns, ended_ns, batch, prompt + decoded, used)

        def log_engine_initialized(self) -> None:
            """Nothing to say."""

    return NotesSteps


def keep_sockets_in(run_dir: Path) -> None:
    """vLLM never removes its sockets, so they go where everything goes in the end, unless that is too deep for them."""
    if len(os.fsencode(run_dir)) + 1 + SOCKET_NAME_BYTES <= MAX_PATH_BYTES:
        os.environ.setdefault("VLLM_RPC_BASE_PATH", str(run_dir))


async def load(settings: Settings, on_step: StepSink) -> WholeEngine:
    """Raises StartupError when vLLM does not start."""
    prepare_environment(settings.engine)
    keep_sockets_in(settings.run_dir)
    info, _ = await asyncio.to_thread(load_model, settings)
    from vllm import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    from splitwiser.engine.vllm.weights import LOAD_FORMAT

    pool, cpu, shared = settings.pool, settings.engine.device == "cpu", SHARED in os.environ
    args = AsyncEngineArgs(
        model=settings.engine.model,
        skip_tokenizer_init=True,
        dtype=settings.engine.dtype,
        max_model_len=min(info.max_tokens, pool.pages * pool.page_tokens),
        block_size=pool.page_tokens,
        # Block 0 is vLLM's own, for what is written and never read.
        num_gpu_blocks_override=pool.pages + 1,
        # Only its presence matters: the cache has that many blocks, whatever is free.
        kv_cache_memory_bytes=1,
        # vLLM would ask for this part of the GPU to be free, and other sides may be up.
        gpu_memory_utilization=0.001,
        enable_prefix_caching=False,
        max_num_seqs=settings.decode.max_batch,
        max_num_batched_tokens=max(settings.prefill.chunk_tokens, settings.decode.max_batch),
        enable_chunked_prefill=True,
        enforce_eager=cpu,
        compilation_config=compilation(settings.engine),
        enable_log_requests=False,
        **({"load_format": LOAD_FORMAT, "worker_extension_cls": LOADER} if shared else own_offload(settings.engine)),
    )
    clock = StepClock()
    try:
        llm = AsyncLLM.from_engine_args(args, stat_loggers=[_logger(on_step, clock, pool.pages)])
    except Exception as error:
        raise StartupError(
            f"vLLM does not start with {settings.engine.model}: {type(error).__name__}: {error}",
            help="the lines above are vLLM's own; choose another model or smaller settings",
            field="engine.model",
        ) from error
    return WholeVllm(llm, clock)
