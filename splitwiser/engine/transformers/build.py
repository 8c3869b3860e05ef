"""Owns how the engine comes to be: the stack's one copy of the weights, the model's layout, the one pool."""

from dataclasses import dataclass
from importlib.metadata import version

import torch

from splitwiser.config.schema import Settings
from splitwiser.engine.identity import identity_of
from splitwiser.engine.memory import Memory, memory_of
from splitwiser.engine.page_copies import TensorCopier
from splitwiser.engine.transformers.forward import Forward
from splitwiser.engine.transformers.interface import choose_interface
from splitwiser.engine.transformers.library import empty_model, load_model, read_config
from splitwiser.engine.transformers.numerics import set_up_arithmetic
from splitwiser.engine.transformers.pool import map_pool, pool_elements
from splitwiser.engine.transformers.runner import ModelDecodeRunner, ModelPrefillRunner, ModelThread
from splitwiser.engine.transformers.weights import attach_weights, make_weights
from splitwiser.errors import StartupError
from splitwiser.kv.layout import PoolLayout
from splitwiser.memory.segment import Segment, Segments


def weights_identity(model: str, dtype: str) -> str:
    """What this engine's weights segment holds."""
    return identity_of(model, dtype, transformers=version("transformers"), torch=torch.__version__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model over the pool, for either phase. interface: "attention" or "cache", how it reaches its pages.

    content: the pool's bytes.
    """

    layout: PoolLayout
    content: torch.Tensor
    memory: Memory
    interface: str
    forward: Forward
    threads: int

    def prefill_runner(self) -> ModelPrefillRunner:
        """A runner with a thread of its own."""
        return ModelPrefillRunner(ModelThread(self.forward, self.threads))

    def decode_runner(self) -> ModelDecodeRunner:
        """A runner with a thread of its own."""
        return ModelDecodeRunner(ModelThread(self.forward, self.threads))

    def page_copier(self, host: Segment) -> TensorCopier:
        """Between the pool and the host pages."""
        return TensorCopier(self.layout, self.content, self.memory.host_tensor(host))


def prepare(settings: Settings) -> None:
    """Have the model's code imported: the library does that as late as it can."""
    empty_model(read_config(settings.engine.model), settings.engine.dtype)


async def load(settings: Settings, segments: Segments) -> Loaded:
    """Map, or make and publish, weights and pool. Raises StartupError for a model that is missing or not supported."""
    name, dtype = settings.engine.model, settings.engine.dtype
    if not name:
        raise StartupError("no model is named", help="give a Hugging Face id or a folder", field="engine.model")
    set_up_arithmetic(settings.engine.threads)
    config = read_config(name)
    model = empty_model(config, dtype)
    identity, memory = weights_identity(name, dtype), memory_of(settings.engine.device)
    weights = await segments.obtain("weights", lambda: make_weights(lambda: load_model(name, dtype), identity, memory))
    attach_weights(model, weights, identity, memory)
    interface = choose_interface(model)
    layout = PoolLayout(name, dtype, settings.pool.page_tokens, settings.pool.pages, interface.shapes)
    pool = await segments.obtain("pool", lambda: memory.make_pool(layout), layout=layout)
    content = memory.tensor(pool)
    forward = interface.forward(map_pool(layout, pool_elements(layout, content)), layout.page_tokens)
    return Loaded(layout, content, memory, interface.kind, forward, settings.engine.threads)
