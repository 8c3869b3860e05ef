"""A hand-off costs two round trips to the store's process, each well under a millisecond."""

import statistics
import time
from pathlib import Path

from splitwiser.memory import memfd
from splitwiser.store.client import RoleName, StoreClient
from tests.support.store import LAYOUT
from tests.support.store_service import store_service

HANDOFFS = 500
PAGES = 16


async def attach(path: Path, role: RoleName) -> StoreClient:
    client = await StoreClient.connect(path, role, role, beat_s=0.1)
    (await client.obtain("pool", lambda: memfd.make_pool(LAYOUT), layout=LAYOUT)).close()
    return client


async def test_a_grant_and_a_claim_take_well_under_a_millisecond(folder: Path) -> None:
    async with store_service(folder):
        prefill = await attach(folder / "store.sock", "prefill")
        decode = await attach(folder / "store.sock", "decode")
        pages, give = await prefill.acquire(PAGES), await decode.acquire(PAGES)
        grant_ms, claim_ms = [], []
        for number in range(HANDOFFS):
            began_ns = time.perf_counter_ns()
            handle = await prefill.grant(f"request-{number}", pages, 256, LAYOUT.hash)
            granted_ns = time.perf_counter_ns()
            await decode.claim(handle, give)
            claim_ms.append((time.perf_counter_ns() - granted_ns) / 1e6)
            grant_ms.append((granted_ns - began_ns) / 1e6)
            pages, give = give, pages
        await prefill.close()
        await decode.close()
    print(f"grant {statistics.median(grant_ms):.3f} ms, claim {statistics.median(claim_ms):.3f} ms at the median")
    assert statistics.median(grant_ms) < 1.0
    assert statistics.median(claim_ms) < 1.0
