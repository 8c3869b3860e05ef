"""Owns how the sim engine is put together: its pool and its weights from the store, its runners over both."""

from dataclasses import dataclass
from functools import partial

from splitwiser.config.schema import Settings, SimSettings
from splitwiser.engine.sim.model import WEIGHTS_BYTES, fill_weights, hash_seed
from splitwiser.engine.sim.pages import SimCopier, SimPages, sim_layout
from splitwiser.engine.sim.runner import SimDecodeRunner, SimPrefillRunner
from splitwiser.kv.layout import PoolLayout
from splitwiser.memory import memfd
from splitwiser.memory.segment import Segment, Segments


@dataclass(frozen=True, slots=True)
class Loaded:
    """The sim engine's memory, mapped."""

    layout: PoolLayout
    pages: SimPages
    weights: Segment
    settings: SimSettings

    def prefill_runner(self) -> SimPrefillRunner:
        return SimPrefillRunner(self.pages, hash_seed(self.weights.buffer), self.settings)

    def decode_runner(self) -> SimDecodeRunner:
        return SimDecodeRunner(self.pages, hash_seed(self.weights.buffer), self.settings)

    def page_copier(self, host: Segment) -> SimCopier:
        """Between the pool and the host pages."""
        return self.pages.copier(host.buffer)


def layout(settings: Settings) -> PoolLayout:
    """The pool that these settings ask for."""
    return sim_layout(settings.pool.pages, settings.pool.page_tokens)


def prepare(settings: Settings) -> None:
    """Nothing that takes time."""


async def load(settings: Settings, segments: Segments) -> Loaded:
    """Map, or make and publish, pool and weights. Raises LayoutMismatch when the store's pool is another one."""
    shape = layout(settings)
    pool = await segments.obtain("pool", partial(memfd.make_pool, shape), layout=shape)
    weights = await segments.obtain("weights", partial(memfd.make, "weights", WEIGHTS_BYTES, fill=fill_weights))
    return Loaded(shape, SimPages(shape, pool.buffer), weights, settings.sim)
