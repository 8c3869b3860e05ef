"""Which SM caps leave matrix products right: gpu-caps.json. Shapes are Llama-3-8B's, rows those of its steps."""

import argparse
import asyncio
import tempfile
from dataclasses import asdict
from pathlib import Path

from experiments.gpu.record import record
from splitwiser.errors import StartupError
from splitwiser.mps.client import ClientShare
from splitwiser.mps.daemon import mps_daemon
from splitwiser.mps.gate import LIMIT, Finding, check_cap, measure_products

SHAPES = {
    "llama-3-8b": [(4096, 4096), (1024, 4096), (6144, 4096), (14336, 4096), (28672, 4096), (4096, 14336)],
    "1024": [(1024, 1024)],
}
ROWS = [1, 8, 64, 128, 512, 2048]


async def sweep(caps: list[int], at_once: int) -> list[dict[str, object]]:
    """Every cap's finding for every set of shapes."""
    turns = asyncio.Semaphore(at_once)
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as folder:
        async with mps_daemon("", Path(folder) / "mps", environ={}) as control:

            async def one(cap: int, name: str) -> dict[str, object]:
                environment = ClientShare(sm_percent=cap).environment(control)
                async with turns:
                    finding = await measure_products(SHAPES[name], ROWS, "bfloat16", cap, environment)
                return row(name, finding)

            return await asyncio.gather(*(one(cap, name) for cap in caps for name in SHAPES))


async def refusal(cap: int) -> str:
    """What the gate says of a cap."""
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as folder:
        async with mps_daemon("", Path(folder) / "mps", environ={}) as control:

            async def measure(sm_percent: int) -> Finding:
                environment = ClientShare(sm_percent=sm_percent).environment(control)
                return await measure_products(SHAPES["llama-3-8b"], ROWS, "bfloat16", sm_percent, environment)

            try:
                return f"passes: {await check_cap(cap, measure)}"
            except StartupError as error:
                return str(error)


def row(name: str, finding: Finding) -> dict[str, object]:
    return {"shapes": name, **asdict(finding), "passes": finding.passes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--caps", type=int, nargs="+", default=[*range(10, 101, 5), 42])
    parser.add_argument("--at-once", type=int, default=4, help="clients of the daemon at a time")
    parser.add_argument("--name", default="gpu-caps")
    arguments = parser.parse_args()
    rows = asyncio.run(sweep(arguments.caps, arguments.at_once))
    results = {
        "limit": LIMIT,
        "dtype": "bfloat16",
        "rows": ROWS,
        "shapes": SHAPES,
        "at_once": arguments.at_once,
        "findings": rows,
        "the gate on a cap of 80 %": asyncio.run(refusal(80)),
    }
    record(arguments.name, results)


if __name__ == "__main__":
    main()
