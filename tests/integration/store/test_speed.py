"""A hand-off is one message to the store's process and one from it, well under a millisecond together."""

import asyncio
import statistics
import time
from pathlib import Path

from splitwiser.memory import memfd
from splitwiser.store.client import RoleName, StoreClient
from tests.support.store import LAYOUT, promise
from tests.support.store_service import store_service

HANDOFFS = 500
PAGES = 16


async def attach(path: Path, role: RoleName) -> StoreClient:
    client = await StoreClient.connect(path, role, role, beat_s=0.1)
    (await client.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)).close()
    return client


async def test_from_grant_to_claimed_takes_well_under_a_millisecond(folder: Path) -> None:
    async with store_service(folder):
        prefill = await attach(folder / "store.sock", "prefill")
        decode = await attach(folder / "store.sock", "decode")
        pages, give = await prefill.acquire(PAGES), await decode.acquire(PAGES)
        times_ms = []
        for number in range(HANDOFFS):
            made = await promise(prefill, f"request-{number}", PAGES, 256)
            claim = asyncio.create_task(decode.claim(made, give))
            await decode.counts()
            began_ns = time.perf_counter_ns()
            granting = asyncio.create_task(prefill.grant(made, pages, next_token=1))
            await claim
            times_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
            await granting
            pages, give = give, pages
        await prefill.close()
        await decode.close()
    print(f"grant to claimed {statistics.median(times_ms):.3f} ms at the median")
    assert statistics.median(times_ms) < 1.0
