"""A hand-off is one message to the store's process and one from it: it takes about as long as any question there."""

import asyncio
import time
from pathlib import Path
from statistics import median

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


async def test_from_grant_to_claimed_takes_little_longer_than_a_question(folder: Path) -> None:
    """A question in the same moment says what two messages cost on this machine, whatever else it does."""
    async with store_service(folder):
        prefill = await attach(folder / "store.sock", "prefill")
        decode = await attach(folder / "store.sock", "decode")
        pages, give = await prefill.acquire(PAGES), await decode.acquire(PAGES)
        times_ms, question_ms = list[float](), list[float]()
        for number in range(HANDOFFS):
            made = await promise(prefill, f"request-{number}", PAGES, 256)
            claim = asyncio.create_task(decode.claim(made, give))
            began_ns = time.perf_counter_ns()
            await decode.counts()
            question_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
            began_ns = time.perf_counter_ns()
            granting = asyncio.create_task(prefill.grant(made, pages, next_token=1))
            await claim
            times_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
            await granting
            pages, give = give, pages
        await prefill.close()
        await decode.close()
    print(f"grant to claimed {median(times_ms):.3f} ms at the median, a question {median(question_ms):.3f} ms")
    assert median(times_ms) < 2 * median(question_ms)
