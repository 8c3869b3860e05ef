"""Owns how the engine comes to be: vLLM on a thread of its own, over the stack's weights and pool."""

import asyncio
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from splitwiser.config.schema import Settings
from splitwiser.engine.base import DecodeEngine, Phase, PrefillEngine, StepObserver
from splitwiser.engine.vllm.door import StoreDoor
from splitwiser.engine.vllm.environment import prepare_environment
from splitwiser.errors import StartupError
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.pool import OwnedPages
from splitwiser.memory.segment import Segment, Segments

if TYPE_CHECKING:
    import torch

    from splitwiser.engine.page_copies import TensorCopier
    from splitwiser.engine.vllm.core import Core


@dataclass(frozen=True, slots=True)
class Loaded:
    """vLLM over the pool, for the phase it was started for. content: the pool's bytes."""

    layout: PoolLayout
    content: "torch.Tensor"
    core: "Core"
    settings: Settings

    def prefill_engine(self, pages: OwnedPages, observer: StepObserver) -> PrefillEngine:
        """The engine of a prefill worker."""
        from splitwiser.engine.vllm.prefill import VllmPrefillEngine

        return VllmPrefillEngine(self.layout, pages, self.core, observer)

    def decode_engine(self, pages: OwnedPages, observer: StepObserver) -> DecodeEngine:
        """The engine of a decode worker."""
        from splitwiser.engine.vllm.decode import VllmDecodeEngine

        return VllmDecodeEngine(
            self.layout, pages, self.core, max_batch=self.settings.decode.max_batch, observer=observer
        )

    def page_copier(self, host: Segment) -> "TensorCopier":
        """Between the pool and the host pages."""
        from splitwiser.engine.memory import memory_of
        from splitwiser.engine.page_copies import TensorCopier

        return TensorCopier(self.layout, self.content, memory_of(self.settings.engine.device).host_tensor(host))


def prepare(settings: Settings) -> None:
    """Have vLLM imported, with the environment that it reads then."""
    prepare_environment(settings.engine)
    import_module("splitwiser.engine.vllm.start")


async def load(settings: Settings, segments: Segments, phase: Phase) -> Loaded:
    """Start vLLM over weights and pool, made and published where the stack has none.

    Raises StartupError for a model that is missing or not supported.
    """
    if not settings.engine.model:
        raise StartupError("no model is named", help="give a Hugging Face id or a folder", field="engine.model")
    prepare_environment(settings.engine)
    door = StoreDoor(segments, asyncio.get_running_loop())
    # vLLM takes seconds to import; on the loop's thread that would stop the beats that keep the worker's lease.
    starter = await asyncio.to_thread(import_module, "splitwiser.engine.vllm.start")
    layout, content, core = await starter.start(settings, phase, door)
    return Loaded(layout, content, core, settings)
