"""One GPU, two workers under MPS, one copy of the weights, one pool: what it takes and how long.

Writes gpu-stack.json, or gpu-vllm-stack.json. The first of two stacks may find no compiled code, the second finds it.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from experiments.gpu.account import process_bytes, used_bytes
from experiments.gpu.handoffs import handoffs
from experiments.gpu.record import record
from splitwiser.config.schema import Settings
from splitwiser.helper import helper
from splitwiser.mps.attachment import clients
from splitwiser.mps.client import ClientShare
from splitwiser.mps.control import Control
from splitwiser.mps.daemon import own_daemon
from splitwiser.mps.gpu import read_gpu
from splitwiser.rpc.client import Client
from splitwiser.stack.gpu_budget import budget
from splitwiser.stack.local import LocalStack
from splitwiser.v1 import inference_pb2 as pb
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions

PROMPT_TOKENS = 4096
TOKENS = 16


@dataclass(frozen=True, slots=True)
class Ask:
    """A request of random tokens. top_p below 1: its tokens are drawn, else they are the likeliest."""

    prompt_tokens: int
    tokens: int = TOKENS
    top_p: float = 1.0


BURST = [Ask(1024, 64, top_p=0.9)] * 64
"""As many at a time as decode takes, in steps of the longest kind, drawn in the way that takes the most memory."""


async def generate(address: str, ask: Ask, draw: random.Random) -> pb.Timings:
    """Its timings."""
    drawn = SamplingParams(temperature=1, top_p=ask.top_p, seed=draw.randrange(2**31))
    request = pb.GenerateRequest(
        token_ids=pb.TokenIds(ids=[draw.randrange(1, 500) for _ in range(ask.prompt_tokens)]),
        sampling=drawn if ask.top_p < 1 else SamplingParams(temperature=0),
        stop=StopConditions(max_tokens=ask.tokens, ignore_eos=True),
        include_timings=True,
    )
    async with Client(address) as client:
        last = [message async for message in client.generate(request)][-1]
    return last.finish.timings


async def measure(settings: Settings, requests: int, *, brief: bool) -> dict[str, Any]:
    """Start, serve, look, kill decode, serve again; then start once more. brief: without looking and killing."""
    draw, free_bytes, before_bytes = random.Random(0), read_gpu().free_bytes, used_bytes()
    expected = budget(settings, free_bytes)
    once = expected.weights_bytes + expected.pool_bytes
    started_s = time.perf_counter()
    async with LocalStack(settings) as stack:
        cold_start_s = time.perf_counter() - started_s
        idle_bytes = used_bytes() - before_bytes
        timings = [await generate(stack.address, Ask(PROMPT_TOKENS), draw) for _ in range(requests)]
        served_bytes = used_bytes() - before_bytes
        await asyncio.gather(*(generate(stack.address, ask, draw) for ask in BURST))
        loaded_bytes = used_bytes() - before_bytes
        parts: dict[str, Any] = {"process_bytes": process_bytes()} if brief else await look(stack)
        if not brief:
            parts["decode_killed"] = await kill_and_serve(stack, "decode-0", draw)
    # The first ones: each had the stack for itself.
    alone = handoffs(settings.run_dir)[:requests]
    return {
        "budget": str(expected),
        "weights_bytes": expected.weights_bytes,
        "pool_bytes": expected.pool_bytes,
        "free_before_bytes": free_bytes,
        "used_by_the_idle_stack_bytes": idle_bytes,
        "used_after_requests_bytes": served_bytes,
        "used_after_a_burst_bytes": loaded_bytes,
        "beyond_weights_and_pool_bytes": served_bytes - once,
        "beyond_weights_and_pool_after_a_burst_bytes": loaded_bytes - once,
        **parts,
        "cold_start_s": cold_start_s,
        "warm_start": await start_again(settings, once, draw),
        "handoff_of_prompt_tokens": PROMPT_TOKENS,
        "handoffs": alone,
        "grant_to_adopted_median_ms": median(each["grant_to_adopted_ms"] for each in alone),
        "requests": [
            {"ttft_ms": t.ttft_ms, "grant_ms": t.grant_ms, "claim_ms": t.claim_ms, "decode_ms": t.decode_ms}
            for t in timings
        ],
    }


async def look(stack: LocalStack) -> dict[str, Any]:
    """Who is on the GPU with how much, and what one more worker of each phase finds and takes."""
    control = own_daemon(stack.settings.run_dir / "mps")
    attached = [each.pid for each in clients(control)]
    workers = {name: stack.services[name].pid for name in ("prefill-0", "decode-0")}
    return {
        "attached_pids": attached,
        "worker_pids": workers,
        "both_workers_attached": set(workers.values()) <= set(attached),
        "process_bytes": process_bytes(),
        "third_process_weights": await probe(stack.settings, control, "experiments.gpu.attach"),
        **{
            f"third_process_start{name}": await probe(stack.settings, control, *arguments)
            for name, arguments in starts_of(stack.settings).items()
        },
        **await look_at_cold_start(stack.settings, control),
    }


async def look_at_cold_start(settings: Settings, control: Control) -> dict[str, Any]:
    """The same of a decode worker that finds nothing compiled."""
    if settings.engine.kind != "vllm":
        return {}
    with tempfile.TemporaryDirectory(prefix="sw-cold-") as folder:
        caches = {"VLLM_CACHE_ROOT": folder, "TORCHINDUCTOR_CACHE_DIR": folder, "TRITON_CACHE_DIR": folder}
        return {"third_process_start_cold": await probe(settings, control, *starts_of(settings)[""], extra=caches)}


async def start_again(settings: Settings, once: int, draw: random.Random) -> dict[str, Any]:
    """A whole stack's start with what the one before it compiled: its times, and its memory. once: weights and pool."""
    settings = settings.model_copy(update={"run_dir": settings.run_dir / "again"})
    before_bytes, started_s = used_bytes(), time.perf_counter()
    async with LocalStack(settings) as stack:
        ready_s = time.perf_counter() - started_s
        await generate(stack.address, Ask(64), draw)
        answered_s = time.perf_counter() - started_s
        await asyncio.gather(*(generate(stack.address, ask, draw) for ask in BURST))
        return {
            "ready_s": ready_s,
            "answered_s": answered_s,
            "beyond_weights_and_pool_after_a_burst_bytes": used_bytes() - before_bytes - once,
            "process_bytes": process_bytes(),
        }


def starts_of(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The probes of the engine's starts, and their arguments, by what comes after third_process_start."""
    if settings.engine.kind == "vllm":
        # Without the password: every local user can read a process's arguments.
        probed = ("experiments.gpu.vllm_startup", settings.model_dump_json(exclude={"redis"}))
        return {"": (*probed, "decode"), "_prefill": (*probed, "prefill")}
    return {"": ("experiments.gpu.startup", settings.engine.model)}


async def probe(
    settings: Settings, control: Control, module: str, *arguments: str, extra: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What one more process of the GPU, attached to the stack's store, finds. Its failure does not end the others."""
    environment = {**os.environ, **ClientShare().environment(control), **(extra or {})}
    command = (sys.executable, "-m", module, str(settings.run_dir / settings.store.socket), *arguments)
    async with helper(*command, stdout=asyncio.subprocess.PIPE, env=environment) as process:
        output, _ = await process.communicate()
    if process.returncode:
        return {"failed": process.returncode}
    found: dict[str, Any] = json.loads(output)
    return found


async def kill_and_serve(stack: LocalStack, instance: str, draw: random.Random) -> dict[str, float]:
    """SIGKILL a worker; the time until it is ready, and until a request is answered."""
    pid = stack.services[instance].pid
    os.kill(pid, signal.SIGKILL)
    killed_s = time.perf_counter()
    while stack.services[instance].pid == pid or stack.services[instance].state != "ready":  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    ready_s = time.perf_counter() - killed_s
    await generate(stack.address, Ask(64), draw)
    return {"ready_s": ready_s, "answered_s": time.perf_counter() - killed_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a folder that experiments.gpu.checkpoint made")
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--pages", type=int, default=2048)
    parser.add_argument("--requests", type=int, default=9)
    parser.add_argument("--brief", action="store_true", help="memory, hand-offs and starts alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as folder:
        settings = Settings.model_validate(
            {
                "run_dir": f"{folder}/run",
                "engine": {
                    "kind": arguments.engine,
                    "model": str(arguments.model),
                    "dtype": "bfloat16",
                    "device": "cuda",
                },
                "pool": {"pages": arguments.pages},
                "prefill": {"chunk_tokens": 4096},
                "router": {"listen": "127.0.0.1:0"},
                "stack": {"start_timeout_s": 240},
            }
        )
        record(
            "gpu-stack" if arguments.engine == "transformers" else "gpu-vllm-stack",
            asyncio.run(measure(settings, arguments.requests, brief=arguments.brief)),
        )


if __name__ == "__main__":
    main()
