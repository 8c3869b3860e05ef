"""Where time and GPU memory go when one more worker of the vllm engine starts on weights and pool that are there.

Called by stack.py as `python -m experiments.gpu.vllm_startup SOCKET SETTINGS PHASE`, SETTINGS as JSON; prints one JSON
line. Its parts are vLLM's own, one after the other; those of the last one are told beside it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROCESS_STARTED_S = time.perf_counter()
PARTS = {
    "init_device": "vLLM's process group and buffers",
    "load_model": "build the model, map the weights",
    "determine_available_memory": "one forward pass, compiled or with compiled code from the cache",
    "initialize_from_config": "map the pool's stand-in",
    "compile_or_warm_up_model": "warm up kernels, capture CUDA graphs",
}
WITHIN_WARM_UP = {
    "kernel_warmup": "compile kernels, or read them from the cache",
    "warmup_kernels": "steps of requests with every way of sampling",
    "capture_model": "capture CUDA graphs",
}


class Laps:
    """Seconds of each part, and the account of memory after it. Looking at the memory counts for no part."""

    def __init__(self) -> None:
        from experiments.gpu.account import Account

        self.seconds: dict[str, float] = {}
        self.looking_s = 0.0
        self._account = Account()

    @property
    def memory(self) -> list[dict[str, Any]]:
        return self._account.stages

    def note(self, stage: str) -> None:
        started_s = time.perf_counter()
        self._account.note(stage)
        self.looking_s += time.perf_counter() - started_s

    def of(self, method: Callable[..., Any], part: str) -> Callable[..., Any]:
        """The method, adding its time and noting the memory after it."""

        def run(*arguments: Any, **named: Any) -> Any:
            started_s, looked_s = time.perf_counter(), self.looking_s
            try:
                return method(*arguments, **named)
            finally:
                spent_s = time.perf_counter() - started_s - (self.looking_s - looked_s)
                self.seconds[part] = self.seconds.get(part, 0.0) + spent_s
                self.note(part)

        return run


async def main(socket: str, settings_json: str, phase: str) -> None:
    from splitwiser.config.schema import Settings
    from splitwiser.engine.factory import load
    from splitwiser.engine.vllm.environment import prepare_environment
    from splitwiser.memory.cuda.device import open_device
    from splitwiser.memory.devices import mapper_of
    from splitwiser.store.client import StoreClient

    settings = Settings.model_validate_json(settings_json)
    prepare_environment(settings.engine)
    import vllm.v1.worker.gpu_worker as worker
    from vllm.v1.worker.gpu.model_runner import GPUModelRunner

    imported_s = time.perf_counter() - PROCESS_STARTED_S
    laps = Laps()
    laps.of(open_device, "open CUDA")()
    time_parts(laps, worker, GPUModelRunner)
    client = await StoreClient.connect(Path(socket), "observer", "startup", beat_s=3, mapper=mapper_of("cuda"))
    before_s, started_s = laps.looking_s, time.perf_counter()
    await load(settings, client, "prefill" if phase == "prefill" else "decode")
    loaded_s = time.perf_counter() - started_s - (laps.looking_s - before_s)
    laps.note("the rest: the pool is mapped, torch's cache is given back")
    await client.close()
    print(json.dumps(report(laps, imported_s, loaded_s)))


def time_parts(laps: Laps, worker: Any, runner: Any) -> None:
    """Note each part of a worker's start when vLLM does it."""
    for name, part in PARTS.items():
        setattr(worker.Worker, name, laps.of(getattr(worker.Worker, name), part))
    for name, part in WITHIN_WARM_UP.items():
        owner = runner if hasattr(runner, name) else worker
        setattr(owner, name, laps.of(getattr(owner, name), part))


def report(laps: Laps, imported_s: float, loaded_s: float) -> dict[str, Any]:
    within = {part: laps.seconds.get(part, 0.0) for part in WITHIN_WARM_UP.values()}
    parts = {part: seconds for part, seconds in laps.seconds.items() if part not in within}
    rest_s = loaded_s - sum(parts[part] for part in PARTS.values())
    seconds = {"import torch and vLLM": imported_s, **parts, "the rest of vLLM's start": rest_s}
    return {
        "seconds": seconds,
        "sum_s": sum(seconds.values()),
        "seconds_within_warm_up": within,
        "memory": laps.memory,
    }


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
