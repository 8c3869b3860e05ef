"""Owns the choice of an engine: by settings.engine.kind, importing only what that engine needs."""

from typing import Protocol

from splitwiser.config.schema import Settings
from splitwiser.engine.batch import DecodeRunner, PrefillRunner
from splitwiser.kv.layout import PoolLayout
from splitwiser.memory.segment import Segments


class Loaded(Protocol):
    """A model whose weights and pool are mapped: ready to run either phase."""

    @property
    def layout(self) -> PoolLayout: ...
    def prefill_runner(self) -> PrefillRunner: ...
    def decode_runner(self) -> DecodeRunner: ...


async def load(settings: Settings, segments: Segments) -> Loaded:
    """Map, or make and publish, the pool and the weights. Raises StartupError when the model cannot be loaded."""
    if settings.engine.kind == "sim":
        from splitwiser.engine.sim import build as sim

        return await sim.load(settings, segments)
    from splitwiser.engine.transformers import build as transformers

    return await transformers.load(settings, segments)
