"""Whether two MPS clients on both sides of a partition share no multiprocessor, and compute right: gpu-partition.json.

Disjoint: work that stays in registers and caches goes as fast beside the other side's as alone. As a counter-check both
run it on more than the GPU has for two. Right: the numeric gate, with Llama-3-8B's shapes, for every partition.
"""

import argparse
import asyncio
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from experiments.gpu.caps import ROWS, SHAPES
from experiments.gpu.child import ask, line, running
from experiments.gpu.record import record
from splitwiser.errors import StartupError
from splitwiser.mps.client import ClientShare
from splitwiser.mps.control import Control
from splitwiser.mps.daemon import mps_daemon
from splitwiser.mps.gate import measure_products
from splitwiser.mps.partition import UNIT_SMS

LOAD = "experiments.gpu.partition_load"


async def speeds(control: Control, sides: list[tuple[str, int]], seconds: float) -> dict[str, object]:
    """Each process's rate beside the other, as a part of its rate alone."""
    environment = ClientShare().environment(control)
    arguments = [(LOAD, side, str(sms)) for side, sms in sides]
    async with running(*arguments[0], **environment) as one, running(*arguments[1], **environment) as two:
        sm_counts = [json.loads(await line(each))["sm_count"] for each in (one, two)]
        command = {"seconds": seconds}
        alone = [await ask(each, command) for each in (one, two)]
        both = await asyncio.gather(ask(one, command), ask(two, command))
    kept = [round(now["per_s"] / before["per_s"], 3) for now, before in zip(both, alone, strict=True)]
    return {"sides": sides, "sm_counts": sm_counts, "part_of_lone_rate": kept}


async def gate(control: Control, side: str, sms: int, turns: asyncio.Semaphore) -> dict[str, object]:
    """The finding for one side of one partition."""
    environment, partition = ClientShare().environment(control), {"side": side, "sms": sms}
    async with turns:
        shapes = SHAPES["llama-3-8b"]
        try:
            finding = await measure_products(shapes, ROWS, "bfloat16", 100, environment, partition=partition)
        except StartupError as error:
            return partition | {"passes": False, "error": str(error)[-400:]}
    return partition | asdict(finding) | {"passes": finding.passes}


async def measure(partitions: list[int], seconds: float) -> dict[str, object]:
    turns = asyncio.Semaphore(4)
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as folder:
        async with mps_daemon("", Path(folder) / "mps", environ={}) as control:
            whole = await measure_products([(64, 64)], [1], "bfloat16", 100, ClientShare().environment(control))
            ways = [[("decode", sms), ("prefill", whole.sm_count - sms)] for sms in (32, 64, 96)]
            beside = [await speeds(control, sides, seconds) for sides in [*ways, [("decode", 96)] * 2]]
            sides = [side for sms in partitions for side in (("decode", sms), ("prefill", whole.sm_count - sms))]
            findings = await asyncio.gather(*(gate(control, side, sms, turns) for side, sms in sides))
    return {"beside the other": beside, "rows": ROWS, "shapes": SHAPES["llama-3-8b"], "findings": findings}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, nargs="+", default=list(range(UNIT_SMS, 121, UNIT_SMS)))
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    record("gpu-partition", asyncio.run(measure(arguments.partitions, arguments.seconds)))


if __name__ == "__main__":
    main()
