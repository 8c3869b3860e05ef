"""A worker process for tests: obtains a GPU segment of a store, says what it found there, and waits. Without torch.

Run as `python -m tests.gpu.segment_worker SOCKET NAME VALUE`: a maker fills the segment with VALUE.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from splitwiser.kv.layout import LayerShape, PoolLayout
from splitwiser.memory.cuda.device import open_device
from splitwiser.memory.cuda.mapping import CudaMemory
from splitwiser.memory.cuda.segments import CudaMapper, make
from splitwiser.memory.segment import Made
from splitwiser.store.client import StoreClient

LAYOUT = PoolLayout("model", "bfloat16", page_tokens=16, pages=4096, layers=(LayerShape(8, 128, 128),))
BEAT_S = 0.1


async def main(socket: str, name: str, value: str) -> None:
    made = []

    def make_filled() -> Made:
        made.append(name)
        return make(name, LAYOUT.pool_bytes, fill=lambda memory: fill(memory, int(value)))

    client = await StoreClient.connect(
        Path(socket), "decode", f"worker-{os.getpid()}", beat_s=BEAT_S, mapper=CudaMapper()
    )
    open_device()
    started_s = time.perf_counter()
    segment = await client.obtain(name, make_filled, layout=LAYOUT if name == "pool" else None)
    seconds = time.perf_counter() - started_s
    assert isinstance(segment.memory, CudaMemory)
    print(json.dumps({"pid": os.getpid(), "made": bool(made), "ends": ends(segment.memory), "s": seconds}), flush=True)
    await client.lost.wait()


def fill(memory: CudaMemory, value: int) -> None:
    device = open_device()
    with device.current():
        device.call("fill", device.driver.cuMemsetD8(memory.range.address, value, memory.nbytes))


def ends(memory: CudaMemory) -> list[int]:
    """The first and the last byte."""
    device, found = open_device(), bytearray(2)
    with device.current():
        for at, offset in enumerate((0, memory.nbytes - 1)):
            byte = bytearray(1)
            device.call("read", device.driver.cuMemcpyDtoH(byte, memory.range.address + offset, 1))
            found[at] = byte[0]
    return list(found)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
