"""Owns the choice of an engine: by settings.engine.kind, importing only what that engine needs."""

import asyncio
from importlib import import_module
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
    # Importing torch takes seconds; on the loop's thread it would stop the beats that keep the worker's lease.
    build = await asyncio.to_thread(import_module, f"splitwiser.engine.{settings.engine.kind}.build")
    loaded: Loaded = await build.load(settings, segments)
    return loaded
