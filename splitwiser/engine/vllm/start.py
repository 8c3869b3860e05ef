"""Owns the start of an EngineCore: its configuration, its weights and its pool, on the thread it will live on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import vllm
from vllm.v1.engine.core import EngineCore
from vllm.v1.executor import Executor
from vllm.v1.kv_cache_interface import KVCacheConfig
from vllm.v1.kv_cache_layout import KVCacheLayout

from splitwiser.config.schema import EngineSettings, Settings
from splitwiser.engine.base import Phase
from splitwiser.engine.identity import identity_of
from splitwiser.engine.memory import Memory, memory_of
from splitwiser.engine.vllm.core import Core, EngineThread
from splitwiser.engine.vllm.door import StoreDoor
from splitwiser.engine.vllm.generators import let_draws_be_taken_back
from splitwiser.engine.vllm.parameters import SharedParameters
from splitwiser.engine.vllm.pool import allocations_from, pool_layout
from splitwiser.engine.vllm.requests import let_runner_v1_count_earlier_tokens
from splitwiser.engine.vllm.settings import engine_config
from splitwiser.engine.vllm.weights import register_loader
from splitwiser.errors import SplitwiserError, StartupError
from splitwiser.kv.layout import PoolLayout
from splitwiser.mps.partition import confine


async def start(settings: Settings, phase: Phase, door: StoreDoor) -> tuple[PoolLayout, torch.Tensor, Core]:
    """An engine for the phase, the layout of its pool, and the pool's bytes. Raises StartupError."""
    thread = EngineThread()
    starting = _Starting(settings, phase, door, memory_of(settings.engine.device))
    core = await thread.run(starting.run)
    assert starting.layout
    assert starting.content is not None
    return starting.layout, starting.content, Core(thread, core)


def shared_parameters(engine: EngineSettings, door: StoreDoor) -> SharedParameters:
    """What vLLM's loader goes by."""
    identity = identity_of(engine.model, engine.dtype, vllm=vllm.__version__, torch=torch.__version__)
    if engine.weight_offload_gib:
        identity += f" with {engine.weight_offload_gib:g} GiB on the host"
    return SharedParameters(door, memory_of(engine.device), identity, int(engine.weight_offload_gib * 2**30))


@dataclass(slots=True)
class _Starting:
    settings: Settings
    phase: Phase
    door: StoreDoor
    memory: Memory
    layout: PoolLayout | None = None
    content: torch.Tensor | None = None
    go_live: Callable[[], None] | None = None

    def run(self) -> EngineCore:
        """Blocks for seconds."""
        engine = self.settings.engine
        if (sms := self.settings.sms(self.phase)) and engine.device == "cuda":
            confine(self.phase, sms)
        # Compiling a model takes a table of its weights again for a while, a GiB of Llama-3-8B.
        self.memory.take_workspace()
        register_loader(shared_parameters(engine, self.door))
        let_runner_v1_count_earlier_tokens()
        config = engine_config(self.settings, self.phase)
        if engine.device == "cpu":
            let_draws_be_taken_back()
        try:
            with allocations_from(self._pool, config.cache_config.num_gpu_blocks_override):
                core = EngineCore(config, Executor.get_class(config), log_stats=False)
        except SplitwiserError:
            raise
        except Exception as error:
            raise StartupError(
                f"vLLM does not start with {engine.model}: {type(error).__name__}: {error}",
                help="the lines above are vLLM's own; choose another model, or the transformers engine",
                field="engine.model",
            ) from error
        assert self.go_live
        # Its trial of the longest step, with samplers for all sequences, is larger than most steps that will come.
        self.memory.trim()
        self.go_live()
        return core

    def _pool(self, config: KVCacheConfig, order: KVCacheLayout) -> torch.Tensor:
        self.layout = pool_layout(self.settings.engine.model, config, order)
        # The pool is in use by the other phase; vLLM warms up, as it likes, on memory of its own.
        self.content, self.go_live = self.memory.stand_in(self.door.pool(self.layout, self.memory.make_pool))
        return self.content
