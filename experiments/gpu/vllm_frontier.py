"""Time between tokens against prefill tokens a second: gpu-vllm-frontier.json.

Two vLLM engines that share one GPU, and one vLLM that chunks its prompts, under the same load in one run.

The engines of the split side are those of the workers, over a store's weights and pool; no router and no hand-off, so
that what is compared is how the two phases share the GPU.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.gpu.child import ask, line, running
from experiments.gpu.record import record
from splitwiser.config.schema import Settings
from splitwiser.mps.client import ClientShare
from splitwiser.mps.control import Control
from splitwiser.mps.daemon import mps_daemon
from splitwiser.stack.card import read_card


@dataclass(frozen=True, slots=True)
class Split:
    """How two phases share. sms: as in gpu.prefill_sms and decode_sms; chunks: of prompts, in turn."""

    prefill: ClientShare
    prefill_sms: int = 0
    decode_sms: int = 0
    chunks: tuple[int, ...] = (1024, 8192)


LOW = ClientShare("below-normal")
SPLITS = {
    "prefill below normal": Split(LOW, chunks=(512, 1024, 2048, 8192)),
    "prefill below normal, 90 %": Split(ClientShare("below-normal", 90), chunks=(512, 1024, 2048)),
    "prefill below normal, 50 %": Split(ClientShare("below-normal", 50)),
    "prefill below normal, 25 %": Split(ClientShare("below-normal", 25)),
    "equal priorities": Split(ClientShare()),
    "equal priorities, prefill 50 %": Split(ClientShare(sm_percent=50)),
    "decode has 24 multiprocessors, prefill 108": Split(ClientShare(), 108, 24),
    "decode has 32 multiprocessors, prefill 100": Split(ClientShare(), 100, 32),
    "decode has 40 multiprocessors, prefill 92": Split(ClientShare(), 92, 40),
    "decode has 48 multiprocessors, prefill 84": Split(ClientShare(), 84, 48),
    "decode has 64 multiprocessors, prefill 68": Split(ClientShare(), 68, 64),
    "prefill below normal, on 68 multiprocessors": Split(LOW, 68),
    "prefill below normal, on 84 multiprocessors": Split(LOW, 84),
    "prefill below normal, on 100 multiprocessors": Split(LOW, 100),
}
CHUNKS_OF_ONE = [256, 384, 512, 640, 1024, 2048, 8192]
LONGEST_CHUNK = 8192


async def split(name: str, control: Control, settings_file: str, windows: dict[str, float]) -> list[dict[str, Any]]:
    """Both engines as clients that share like this, each chunk of prefill's. Uncapped or parted also each alone."""
    module, way = "experiments.gpu.frontier_worker", SPLITS[name]
    environments = [share.environment(control) for share in (way.prefill, ClientShare())]
    async with (
        running(module, settings_file, "prefill", str(way.prefill_sms), **environments[0]) as prefill,
        running(module, settings_file, "decode", str(way.decode_sms), **environments[1]) as decode,
    ):
        await asyncio.gather(line(prefill), line(decode))
        points: list[dict[str, Any]] = []
        if name == "prefill below normal" or way.decode_sms:
            alone = {"sharing": name} | windows | {"chunk": LONGEST_CHUNK}
            points.append({"alone": "decode"} | alone | await ask(decode, alone))
            points.append({"alone": "prefill"} | alone | await ask(prefill, alone))
        for chunk in way.chunks:
            command = windows | {"chunk": chunk}
            found = await asyncio.gather(ask(prefill, command), ask(decode, command))
            points.append({"sharing": name, "chunk": chunk} | found[0] | found[1])
            print(json.dumps(points[-1]), file=sys.stderr, flush=True)
        return points


async def measure(settings: Settings, windows: dict[str, float], names: list[str]) -> None:
    """One vLLM first, then each split. What is done is recorded as it goes."""
    settings_file = str(settings.run_dir / "settings.json")
    plan = json.dumps([windows | {"chunk": chunk} for chunk in CHUNKS_OF_ONE])
    async with running("experiments.gpu.frontier_one", settings_file, plan) as one:
        unsplit = json.loads(await line(one))
    print(json.dumps(unsplit), file=sys.stderr, flush=True)
    splits: list[dict[str, Any]] = []
    store_arguments = ("--config", settings_file, "--instance", "store")
    async with (
        mps_daemon("", settings.run_dir / "mps", environ={}) as control,
        running("services.store", *store_arguments),
    ):
        while not read_card(settings.run_dir, "store"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for name in names:
            splits += await split(name, control, settings_file, windows)
            record("gpu-vllm-frontier", {"one vLLM": unsplit, "split": splits})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a folder that experiments.gpu.checkpoint made")
    parser.add_argument("--settle", type=float, default=1.5)
    parser.add_argument("--window", type=float, default=4.0)
    parser.add_argument("--splits", nargs="+", default=list(SPLITS), choices=list(SPLITS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as folder:
        settings = Settings.model_validate(
            {
                "run_dir": f"{folder}/run",
                "engine": {"kind": "vllm", "model": str(arguments.model), "dtype": "bfloat16", "device": "cuda"},
                "pool": {"pages": 12288, "prefill_share": 0.2},
                "prefill": {"chunk_tokens": LONGEST_CHUNK},
                "decode": {"max_batch": 128},
            }
        )
        settings.run_dir.mkdir()
        (settings.run_dir / "settings.json").write_text(settings.model_dump_json())
        windows = {"settle_s": arguments.settle, "window_s": arguments.window}
        asyncio.run(measure(settings, windows, arguments.splits))


if __name__ == "__main__":
    main()
