"""Owns the choice of an engine: by settings.engine.kind, importing only what that engine needs."""

import asyncio
import importlib.util
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from splitwiser.config.schema import Settings
from splitwiser.engine.base import DecodeEngine, Phase, PrefillEngine, StepObserver
from splitwiser.engine.batch import DecodeRunner, PrefillRunner
from splitwiser.engine.loop import UNDISTURBED, Turn
from splitwiser.engine.paged import PagedDecodeEngine, PagedPrefillEngine
from splitwiser.errors import StartupError
from splitwiser.kv.host_tier import PageCopier
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.pool import OwnedPages
from splitwiser.memory.segment import Segment, Segments

NEEDED_BY = {
    "transformers": (("torch", "transformers"), "pip install 'splitwiser[transformers]'"),
    "vllm": (("torch", "vllm"), "install vLLM 0.32, as docs/vllm.md says"),
}
WHOLE_ENGINES = ("vllm",)
"""Kinds that schedule by themselves; the others bring a runner for each phase, to the schedulers of paged.py."""


class Loaded(Protocol):
    """A model whose weights and pool are mapped, for one phase."""

    @property
    def layout(self) -> PoolLayout: ...
    def prefill_engine(self, pages: OwnedPages, observer: StepObserver) -> PrefillEngine: ...
    def decode_engine(self, pages: OwnedPages, observer: StepObserver) -> DecodeEngine: ...
    def page_copier(self, host: Segment) -> PageCopier:
        """Between the pool and the host pages, of layout.on_host. May take seconds."""


class Runners(Protocol):
    """What a kind brings that leaves the scheduling to paged.py."""

    @property
    def layout(self) -> PoolLayout: ...
    def prefill_runner(self) -> PrefillRunner: ...
    def decode_runner(self) -> DecodeRunner: ...
    def page_copier(self, host: Segment) -> PageCopier: ...


@dataclass(frozen=True, slots=True)
class PagedEngines:
    """Runners under the schedulers of paged.py: a Loaded."""

    runners: Runners
    settings: Settings
    turn: Turn

    @property
    def layout(self) -> PoolLayout:
        return self.runners.layout

    def prefill_engine(self, pages: OwnedPages, observer: StepObserver) -> PrefillEngine:
        settings, runner = self.settings.prefill, self.runners.prefill_runner()
        limits = {"chunk_tokens": settings.chunk_tokens, "max_batch": settings.max_batch}
        return PagedPrefillEngine(self.layout, pages, runner, **limits, observer=observer, turn=self.turn)

    def decode_engine(self, pages: OwnedPages, observer: StepObserver) -> DecodeEngine:
        runner, max_batch = self.runners.decode_runner(), self.settings.decode.max_batch
        return PagedDecodeEngine(self.layout, pages, runner, max_batch=max_batch, observer=observer, turn=self.turn)

    def page_copier(self, host: Segment) -> PageCopier:
        return self.runners.page_copier(host)


def check_installed(settings: Settings) -> None:
    """Raise StartupError when what the engine runs on is not installed, as in an image that was built for another."""
    needed, remedy = NEEDED_BY.get(settings.engine.kind, ((), ""))
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise StartupError(
            f"the {settings.engine.kind} engine needs {' and '.join(missing)}, not installed here",
            help=f"{remedy}; in a pod, give the worker the image of its engine; or use --engine sim",
            field="engine.kind",
        )


def prepare(settings: Settings) -> None:
    """Do what a start does before it needs the store or the GPU; load is faster afterwards. Blocks for seconds.

    Raises StartupError when the model cannot be read.
    """
    check_installed(settings)
    import_module(f"splitwiser.memory.{'cuda.segments' if settings.engine.device == 'cuda' else 'memfd'}")
    import_module(f"splitwiser.engine.{settings.engine.kind}.build").prepare(settings)


class Load(Protocol):
    """How a worker comes to its model: load, or one that shares it with the other phase."""

    async def __call__(self, settings: Settings, segments: Segments, phase: Phase) -> Loaded: ...


async def load(settings: Settings, segments: Segments, phase: Phase, turn: Turn = UNDISTURBED) -> Loaded:
    """Map, or make and publish, the pool and the weights. Raises StartupError when the model cannot be loaded.

    turn: held during each step, by phases that share a process.
    """
    kind = settings.engine.kind
    # Importing torch takes seconds; on the loop's thread it would stop the beats that keep the worker's lease.
    build = await asyncio.to_thread(import_module, f"splitwiser.engine.{kind}.build")
    if kind in WHOLE_ENGINES:
        loaded: Loaded = await build.load(settings, segments, phase)
        return loaded
    return PagedEngines(await build.load(settings, segments), settings, turn)
