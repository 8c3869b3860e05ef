"""Where the time goes that a decode worker of the vllm engine takes to start on weights and pool that are there.

Called by stack.py as `python -m experiments.gpu.vllm_startup SOCKET SETTINGS`, as JSON; prints one JSON line.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

PROCESS_STARTED_S = time.perf_counter()
PARTS = {
    "init_device": "open CUDA, vLLM's process group",
    "load_model": "build the model, map the weights",
    "determine_available_memory": "one forward pass, with the compiled code from the cache",
    "initialize_from_config": "map the pool's stand-in",
    "compile_or_warm_up_model": "warm up kernels, capture CUDA graphs",
}


async def main(socket: str, settings_json: str) -> None:
    from splitwiser.config.schema import Settings
    from splitwiser.engine.factory import load
    from splitwiser.engine.vllm.environment import prepare_environment
    from splitwiser.memory.devices import mapper_of
    from splitwiser.store.client import StoreClient

    settings = Settings.model_validate_json(settings_json)
    prepare_environment(settings.engine)
    from vllm.v1.worker.gpu_worker import Worker

    seconds = {"import torch and vLLM": time.perf_counter() - PROCESS_STARTED_S}
    for name, part in PARTS.items():
        setattr(Worker, name, timed(getattr(Worker, name), part, seconds))
    client = await StoreClient.connect(Path(socket), "observer", "startup", beat_s=3, mapper=mapper_of("cuda"))
    started_s = time.perf_counter()
    await load(settings, client, "decode")
    loaded_s = time.perf_counter() - started_s
    seconds["the rest of vLLM's start"] = loaded_s - sum(seconds[part] for part in PARTS.values())
    await client.close()
    print(json.dumps({"seconds": seconds, "sum_s": sum(seconds.values())}))


def timed(method: Any, part: str, seconds: dict[str, float]) -> Any:
    """The method, adding its time."""

    def run(*arguments: Any, **named: Any) -> Any:
        started_s = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - started_s

    return run


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
