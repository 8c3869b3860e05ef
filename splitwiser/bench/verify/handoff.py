"""Owns the proof that a hand-off moves page numbers and no bytes: what decode counts, and what the pool's bytes say."""

import asyncio
import urllib.request
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from splitwiser.bench.verify.answers import Asker
from splitwiser.bench.verify.cases import Case
from splitwiser.bench.verify.pool import PoolView
from splitwiser.stack.card import read_cards

PAGES = "splitwiser_handoff_pages_total"
BYTES_COPIED = "splitwiser_handoff_bytes_copied_total"
GAVE_WAY = "splitwiser_requests_gave_way_total"
RETRIED = "splitwiser_requests_retried_total"


async def decode_counters(run_dir: Path) -> dict[str, int]:
    """PAGES and BYTES_COPIED, summed over the decode workers of the stack in run_dir."""
    return await _counters(run_dir, "decode", PAGES, BYTES_COPIED)


async def prefilled_again(run_dir: Path) -> int:
    """How often the router of the stack in run_dir had a request prefilled once more."""
    return sum((await _counters(run_dir, "router", GAVE_WAY, RETRIED)).values())


async def _counters(run_dir: Path, service: str, *names: str) -> dict[str, int]:
    ports = [card.metrics_port for card in read_cards(run_dir).values() if card.service == service]
    pages = await asyncio.gather(*(asyncio.to_thread(_scrape, port) for port in ports))
    return {name: sum(page[name] for page in pages) for name in names}


def _scrape(port: int) -> dict[str, int]:
    # A proxy that the environment names would ask itself.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        families = text_string_to_metric_families(response.read().decode())
    return {sample.name: int(sample.value) for family in families for sample in family.samples}


async def surplus_pages(asker: Asker, pool: PoolView, cases: Iterable[Case]) -> int:
    """Pages that each of these cases, alone in the stack, wrote beyond those that hold its tokens.

    A request of p prompt and n generated tokens writes the KV of p + n - 1 tokens (the last one's is never needed). Had
    decode copied a prompt's pages to others of the pool, those would be written as well. Fewer pages than expected
    count too: the tokens would then have come from somewhere else.
    """
    surplus = 0
    for case in cases:
        # On zeros every written page shows. What the ended requests left in the prefix index is lost by it, so this
        # asks for something that none of them began with.
        pool.zero()
        answer = await asker.ask(_strange(case), "alone")
        held = pool.layout.pages_for(len(case.prompt_ids) + len(answer.tokens) - 1)
        surplus += abs(len(pool.written_pages()) - held)
    return surplus


def _strange(case: Case) -> Case:
    """The case with its prompt backwards: no other one begins like it."""
    return replace(case, prompt_ids=case.prompt_ids[::-1])
