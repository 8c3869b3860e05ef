"""A fatal fault on the GPU, with a stack under MPS on it: who dies, and when both phases serve again: gpu-fault.json.

The fault is a write through a read-only mapping, by a third client of the same daemon.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.gpu.record import record
from experiments.gpu.stack import Ask, generate
from splitwiser.config.schema import Settings
from splitwiser.errors import SplitwiserError
from splitwiser.helper import helper
from splitwiser.mps.client import ClientShare
from splitwiser.mps.daemon import own_daemon
from splitwiser.mps.gpu import read_gpu
from splitwiser.stack.child import ServiceStatus
from splitwiser.stack.local import LocalStack

LIMIT_S = 60.0
QUIET_S = 3.0
"""Without requests: idle workers must notice too."""
FAULT = """
from splitwiser.memory.cuda import segments
from splitwiser.memory.cuda.tensors import as_tensor
import os, torch
made = segments.make("weights", 2**21)
as_tensor(segments.CudaMapper().map(made.data_fd, 2**21, writable=False)).fill_(1)
torch.cuda.synchronize()
"""


async def measure(settings: Settings) -> dict[str, Any]:
    """Serve, break the GPU, serve again."""
    draw = random.Random(0)
    events: list[tuple[float, str, str]] = []

    def note(status: ServiceStatus) -> None:
        events.append((time.perf_counter(), status.instance, str(status.state)))

    async with LocalStack(settings, on_change=note) as stack:
        await generate(stack.address, Ask(64), draw)
        control = own_daemon(stack.settings.run_dir / "mps", read_gpu().uuid)
        pids = {name: stack.services[name].pid for name in ("prefill-0", "decode-0", "store")}
        events.clear()
        environ = {**os.environ, **ClientShare().environment(control)}
        async with helper(sys.executable, "-c", FAULT, env=environ, stderr=asyncio.subprocess.DEVNULL) as process:
            exit_code = await process.wait()
        fault_s = time.perf_counter()
        await asyncio.sleep(QUIET_S)
        quiet = [(at_s - fault_s, name, state) for at_s, name, state in events]
        answered_s = await until_served(stack, draw)
        return {
            "the_client_that_faulted_ended_with": exit_code,
            "events_of_the_idle_stack_in_the_first_seconds": quiet,
            "events_after_the_fault": [(at_s - fault_s, name, state) for at_s, name, state in events],
            "answered_again_s": answered_s - fault_s if answered_s else None,
            "same_store": stack.services["store"].pid == pids["store"],
            "new_prefill": stack.services["prefill-0"].pid != pids["prefill-0"],
            "new_decode": stack.services["decode-0"].pid != pids["decode-0"],
        }


async def until_served(stack: LocalStack, draw: random.Random) -> float:
    """When a request is answered again; each try makes idle workers notice that their GPU is gone."""
    end_s = time.perf_counter() + LIMIT_S
    while time.perf_counter() < end_s:
        try:
            async with asyncio.timeout(LIMIT_S):
                await generate(stack.address, Ask(64), draw)
            return time.perf_counter()
        except SplitwiserError:
            await asyncio.sleep(0.1)
    return 0.0


def main() -> None:
    model = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as folder:
        settings = Settings.model_validate(
            {
                "run_dir": f"{folder}/run",
                "engine": {"model": str(model), "dtype": "bfloat16", "device": "cuda"},
                "router": {"listen": "127.0.0.1:0"},
            }
        )
        record("gpu-fault", asyncio.run(measure(settings)))


if __name__ == "__main__":
    main()
