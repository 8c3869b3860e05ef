"""A worker process for tests: attaches, maps pool and weights, takes pages, grants some, says so, and waits.

Run as `python -m tests.support.store_worker SOCKET ROLE ACQUIRE GRANT`. It prints one line of JSON when it is ready,
and another when the store is lost.
"""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import cast

from splitwiser.memory import memfd
from splitwiser.store.client import RoleName, StoreClient
from tests.support.store import LAYOUT
from tests.support.store import grant as granted

BEAT_S = 0.1


async def main(socket: str, role: str, acquire: str, grant: str) -> None:
    name = cast("RoleName", role)
    client = await StoreClient.connect(Path(socket), name, f"worker-{os.getpid()}", beat_s=BEAT_S)
    pool = await client.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)
    mark = str(os.getpid()).encode()
    weights = await client.obtain(
        "weights", lambda: memfd.make("weights", 4096, fill=lambda view: view.__setitem__(slice(len(mark)), mark))
    )
    pages = await client.acquire(int(acquire))
    for page in pages:
        pool.buffer[page] = page + 1
    handle = await granted(client, "request", pages[: int(grant)]) if int(grant) else None
    maker = bytes(weights.buffer[:16]).rstrip(b"\0").decode()
    say({"pid": os.getpid(), "maker": maker, "pages": pages, "handle": asdict(handle) if handle else None})
    await client.lost.wait()
    say({"lost": True})


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
