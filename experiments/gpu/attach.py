"""A worker's way to weights that are there already, timed; prints one JSON line. Called by stack.py."""

import asyncio
import json
import sys
import time
from pathlib import Path

from splitwiser.memory.cuda.device import open_device
from splitwiser.memory.cuda.segments import CudaMapper
from splitwiser.memory.segment import Made
from splitwiser.store.client import StoreClient

REPEATS = 5


def never() -> Made:
    raise AssertionError("the store has no weights")


async def main(socket: str) -> None:
    started_s = time.perf_counter()
    open_device()
    opened_s = time.perf_counter() - started_s
    client = await StoreClient.connect(Path(socket), "decode", "attach", beat_s=3, mapper=CudaMapper())
    times_s = []
    for _ in range(REPEATS):
        started_s = time.perf_counter()
        segment = await client.obtain("weights", never)
        times_s.append(time.perf_counter() - started_s)
        size_bytes = segment.size_bytes
        segment.close()
    await client.close()
    print(json.dumps({"size_bytes": size_bytes, "open_cuda_s": opened_s, "obtain_ms": [s * 1e3 for s in times_s]}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
