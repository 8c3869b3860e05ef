"""Owns weights that several whole vLLMs share: in the process of vLLM's engine, its loader over a store's segment.

vLLM imports this module by name there, as its worker's extension, before it loads a model; the import makes the loader
known. The first engine makes the weights, every other maps them, as the workers of a split stack do.
"""

import asyncio
import os
import threading
from pathlib import Path

from splitwiser.config.load import load_settings
from splitwiser.engine.unsplit.vllm import SHARED
from splitwiser.engine.vllm.door import StoreDoor
from splitwiser.engine.vllm.start import shared_parameters
from splitwiser.engine.vllm.weights import register_loader
from splitwiser.memory.devices import mapper_of
from splitwiser.store.client import StoreClient


class SharedWeights:
    """Adds nothing to a worker."""


def register(config: Path) -> None:
    """Have vLLM load through the store of these settings. The attachment lives as long as this process."""
    settings = load_settings(config)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="store", daemon=True).start()
    engine = settings.engine
    # Under a role that may publish; without a pool nobody has pages.
    attaching = StoreClient.connect(
        settings.run_dir / settings.store.socket,
        "decode",
        f"unsplit-{os.getpid()}",
        beat_s=settings.store.beat_s,
        mapper=mapper_of(engine.device),
    )
    client = asyncio.run_coroutine_threadsafe(attaching, loop).result()
    register_loader(shared_parameters(engine, StoreDoor(client, loop)))


if SHARED in os.environ:
    register(Path(os.environ[SHARED]))
