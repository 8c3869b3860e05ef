"""The hand-off's proof: a page too many or too few is seen, and the workers' own counts are read and summed."""

import os
from pathlib import Path

import pytest

from splitwiser.bench.verify.answers import Asker
from splitwiser.bench.verify.cases import Case
from splitwiser.bench.verify.handoff import BYTES_COPIED, PAGES, decode_counters, prefilled_again, surplus_pages
from splitwiser.bench.verify.pool import pool_view
from splitwiser.engine.sim.pages import sim_layout
from splitwiser.rpc.client import Client
from splitwiser.stack.card import Card, write_card
from splitwiser.telemetry.metrics.decode import DecodeMetrics
from splitwiser.telemetry.metrics.door import serve_metrics
from splitwiser.telemetry.metrics.router import RouterMetrics
from tests.unit.bench.inference_server import TinyInference, serving
from tests.unit.bench.verify.test_pool import kept

LAYOUT = sim_layout(pages=8, page_tokens=4)


@pytest.mark.parametrize(("written", "surplus"), [(2, 0), (3, 1), (0, 2)])
async def test_pages_that_hold_no_token_of_the_request_are_surplus(tmp_path: Path, written: int, surplus: int) -> None:
    with kept(LAYOUT) as buffer, pool_view(os.getpid()) as pool:

        def write() -> None:
            for page in range(written):
                buffer[page * LAYOUT.page_bytes] = 1

        async with serving(TinyInference(), tmp_path) as address, Client(address) as client:
            # 4 prompt tokens and 5 of the answer write KV for 8, which are 2 pages.
            found = await surplus_pages(Asker(client, 1, write), pool, [Case("c", (1, 2, 3, 4), 5)])
    assert found == surplus


async def test_counters_are_summed_over_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    closers = []
    for number, pages in enumerate((3, 4)):
        metrics = DecodeMetrics()
        metrics.claimed(0.0, 0.0, pages=pages, bytes_copied=100 * number)
        port, close = serve_metrics(metrics.registry, 0)
        closers.append(close)
        write_card(tmp_path, Card("decode", f"decode-{number}", 1, "unix:/x", port))
    router = RouterMetrics()
    router.gave_way()
    router.retried()
    port, close = serve_metrics(router.registry, 0)
    closers.append(close)
    write_card(tmp_path, Card("router", "router", 1, "unix:/x", port))
    try:
        assert await decode_counters(tmp_path) == {PAGES: 7, BYTES_COPIED: 100}
        assert await prefilled_again(tmp_path) == 2
    finally:
        for close in closers:
            close()
