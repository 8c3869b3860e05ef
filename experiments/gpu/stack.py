"""One GPU, two workers under MPS, one copy of the weights, one pool: what it takes and how long.

Writes gpu-stack.json, or gpu-vllm-stack.json.
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
from pathlib import Path
from statistics import median
from typing import Any

from experiments.gpu.record import record
from splitwiser.config.schema import Settings
from splitwiser.mps.attachment import clients
from splitwiser.mps.client import ClientShare
from splitwiser.mps.control import Control
from splitwiser.mps.daemon import own_daemon
from splitwiser.mps.gpu import read_gpu
from splitwiser.rpc.client import Client
from splitwiser.stack.gpu_budget import budget
from splitwiser.stack.local import LocalStack
from splitwiser.telemetry import names
from splitwiser.telemetry.records import SpanRecord
from splitwiser.telemetry.timeline import read_timeline
from splitwiser.v1 import inference_pb2 as pb
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions

PROMPT_TOKENS = 4096
TOKENS = 16


async def generate(address: str, prompt_tokens: int, draw: random.Random) -> pb.Timings:
    """One greedy request of random tokens; its timings."""
    request = pb.GenerateRequest(
        token_ids=pb.TokenIds(ids=[draw.randrange(1, 500) for _ in range(prompt_tokens)]),
        sampling=SamplingParams(temperature=0),
        stop=StopConditions(max_tokens=TOKENS, ignore_eos=True),
        include_timings=True,
    )
    async with Client(address) as client:
        last = [message async for message in client.generate(request)][-1]
    return last.finish.timings


async def measure(settings: Settings, requests: int) -> dict[str, Any]:
    """Start, serve, look, kill decode, serve again."""
    draw, before = random.Random(0), read_gpu()
    expected = budget(settings, before.free_bytes)
    started_s = time.perf_counter()
    async with LocalStack(settings) as stack:
        cold_start_s = time.perf_counter() - started_s
        idle = read_gpu()
        timings = [await generate(stack.address, PROMPT_TOKENS, draw) for _ in range(requests)]
        used = read_gpu()
        control = own_daemon(stack.settings.run_dir / "mps", read_gpu().uuid)
        attached = [each.pid for each in clients(control)]
        workers = {name: stack.services[name].pid for name in ("prefill-0", "decode-0")}
        attach = await probe(stack.settings, control, "experiments.gpu.attach")
        startup = await probe(stack.settings, control, *startup_of(stack.settings))
        restart = await kill_and_serve(stack, "decode-0", draw)
        run_dir = stack.settings.run_dir
    return {
        "budget": str(expected),
        "weights_bytes": expected.weights_bytes,
        "pool_bytes": expected.pool_bytes,
        "free_before_bytes": before.free_bytes,
        "used_by_the_idle_stack_bytes": before.free_bytes - idle.free_bytes,
        "used_after_requests_bytes": before.free_bytes - used.free_bytes,
        "beyond_weights_and_pool_bytes": before.free_bytes
        - used.free_bytes
        - expected.weights_bytes
        - expected.pool_bytes,
        "attached_pids": attached,
        "worker_pids": workers,
        "both_workers_attached": set(workers.values()) <= set(attached),
        "cold_start_s": cold_start_s,
        "third_process_weights": attach,
        "third_process_start": startup,
        "decode_killed": restart,
        "handoff_of_prompt_tokens": PROMPT_TOKENS,
        "handoffs": handoffs(run_dir),
        "grant_to_adopted_median_ms": median(each["grant_to_adopted_ms"] for each in handoffs(run_dir)),
        "requests": [
            {"ttft_ms": t.ttft_ms, "grant_ms": t.grant_ms, "claim_ms": t.claim_ms, "decode_ms": t.decode_ms}
            for t in timings
        ],
    }


def startup_of(settings: Settings) -> tuple[str, str]:
    """The probe of the engine's start, and its argument."""
    if settings.engine.kind == "vllm":
        return "experiments.gpu.vllm_startup", settings.model_dump_json()
    return "experiments.gpu.startup", settings.engine.model


async def probe(settings: Settings, control: Control, module: str, *arguments: str) -> dict[str, Any]:
    """What one more process of the GPU, attached to the stack's store, finds."""
    environment = {**os.environ, **ClientShare().environment(control)}
    command = (sys.executable, "-m", module, str(settings.run_dir / settings.store.socket), *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    output, _ = await process.communicate()
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
    await generate(stack.address, 64, draw)
    return {"ready_s": ready_s, "answered_s": time.perf_counter() - killed_s}


def handoffs(run_dir: Path) -> list[dict[str, float]]:
    """Milliseconds from the start of each grant to the end of its claim, and of its parts, by the workers' spans."""
    spans: dict[str, dict[str, SpanRecord]] = {}
    for each in read_timeline(run_dir):
        if isinstance(each, SpanRecord) and each.name in (names.GRANT, names.CLAIM):
            spans.setdefault(each.trace_id, {})[each.name] = each
    return [handoff(each[names.GRANT], each[names.CLAIM]) for each in spans.values() if len(each) == 2]


def handoff(grant: SpanRecord, claim: SpanRecord) -> dict[str, float]:
    return {
        "grant_to_adopted_ms": (claim.end_ns - grant.start_ns) / 1e6,
        "grant_ms": grant.duration_ms,
        "prefill_to_router_to_decode_ms": (claim.start_ns - grant.end_ns) / 1e6,
        "claim_ms": claim.duration_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a folder that experiments.gpu.checkpoint made")
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--pages", type=int, default=2048)
    parser.add_argument("--requests", type=int, default=9)
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
            asyncio.run(measure(settings, arguments.requests)),
        )


if __name__ == "__main__":
    main()
