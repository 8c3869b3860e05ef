"""Where the time goes that a worker takes to start on weights and pool that are there; prints one JSON line.

Called by stack.py, with the steps of engine/transformers/build.py one by one.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from splitwiser.memory.devices import mapper_of
from splitwiser.memory.segment import Made
from splitwiser.store.client import StoreClient

PROCESS_STARTED_S = time.perf_counter()


class Laps:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last_s = PROCESS_STARTED_S

    def end(self, name: str) -> None:
        now_s = time.perf_counter()
        self.seconds[name], self._last_s = now_s - self._last_s, now_s


async def main(socket: str, model_folder: str) -> None:
    laps = Laps()
    import torch

    laps.end("import torch")
    import transformers  # noqa: F401

    from splitwiser.engine.memory import memory_of
    from splitwiser.engine.transformers.build import weights_identity
    from splitwiser.engine.transformers.interface import choose_interface
    from splitwiser.engine.transformers.library import empty_model, read_config
    from splitwiser.engine.transformers.weights import attach_weights

    laps.end("import transformers")
    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    laps.end("open CUDA")
    client = await StoreClient.connect(Path(socket), "decode", "startup", beat_s=3, mapper=mapper_of("cuda"))
    weights = await client.obtain("weights", never)
    laps.end("attach to the store and map the weights")
    config = read_config(model_folder)
    model = empty_model(config, "bfloat16")
    attach_weights(model, weights, weights_identity(model_folder, "bfloat16"), memory_of("cuda"))
    laps.end("build the model over them")
    interface = choose_interface(model)
    torch.cuda.synchronize()
    laps.end("self check, with the first kernels of each kind")
    assert interface.shapes
    await client.close()
    print(json.dumps({"seconds": laps.seconds, "sum_s": sum(laps.seconds.values())}))


def never() -> Made:
    raise AssertionError("the store has no weights")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
