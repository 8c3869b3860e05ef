"""Owns the measurement of a hand-off: from the start of a grant to pages adopted, and what each part of the way takes.

Requests go one by one over an idle stack of the sim engine, whose steps cost nothing: what is left is the way of a
handle from prefill by the router to decode, and the store's two calls. The times are those of the workers' spans.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from splitwiser.bench.prompts import random_words
from splitwiser.bench.statistics import quantile
from splitwiser.bench.temporary import temporary_settings
from splitwiser.bench.versions import versions
from splitwiser.config.schema import Settings
from splitwiser.rpc.client import Client
from splitwiser.stack.local import LocalStack
from splitwiser.telemetry import names
from splitwiser.telemetry.records import SpanRecord
from splitwiser.telemetry.timeline import read_timeline
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions

SCHEMA = "splitwiser.handoff/1"
OUTPUT_TOKENS = 4
POOL_PROMPTS = 64
"""Prompts that the pool holds: as in use, where decode has pages to spare when a claim comes."""
PARTS = (names.GRANT, names.DECODE_QUEUE, names.CLAIM)
FLUSH_S = 1.0
"""How long the workers' spans may take to the timeline."""


@dataclass(frozen=True, slots=True)
class HandoffOptions:
    """prompt_tokens: of each request, so that it fills prompt_tokens / page_tokens pages."""

    requests: int = 50
    warmup: int = 5
    prompt_tokens: int = 4096
    page_tokens: int = 16


@dataclass(frozen=True, slots=True)
class Handoff:
    """One hand-off's times. grant: the store's call; way: of the handle; reserve: of decode's own pages; claim."""

    total_ms: float
    grant_ms: float
    way_ms: float
    reserve_ms: float
    claim_ms: float


@dataclass(frozen=True, slots=True)
class HandoffReport:
    """Every hand-off in its order."""

    prompt_tokens: int
    pages: int
    handoffs: tuple[Handoff, ...]
    versions: dict[str, str] = field(default_factory=versions)
    schema: str = SCHEMA

    def to_json(self) -> str:
        """One JSON object on one line; quantiles of the whole and of each part."""
        columns = {name: sorted(getattr(each, name) for each in self.handoffs) for name in Handoff.__slots__}
        figures = {
            f"{name.removesuffix('_ms')}_ms_p{round(q * 100)}": quantile(column, q)
            for name, column in columns.items()
            for q in (0.5, 0.9)
        }
        fields = {"grant_to_adopted_ms_p50": figures["total_ms_p50"], **figures, "handoffs": len(self.handoffs)}
        rest = {name: value for name, value in asdict(self).items() if name != "handoffs"}
        return json.dumps(fields | rest)


async def measure_handoff(options: HandoffOptions) -> HandoffReport:
    """Start a stack, send the requests, stop it. Raises StartupError, or the error of a request."""
    pages = options.prompt_tokens // options.page_tokens
    made = Settings.model_validate(
        {
            "engine": {"kind": "sim"},
            "sim": {"prefill_us_per_token": 0, "decode_step_us": 0, "decode_us_per_sequence": 0},
            "pool": {"page_tokens": options.page_tokens, "pages": max(POOL_PROMPTS * pages, 64)},
            "prefill": {"chunk_tokens": options.prompt_tokens},
        }
    )
    with temporary_settings(made) as settings:
        async with LocalStack(settings) as stack, Client(stack.address) as client:
            for seed in range(options.warmup + options.requests):
                async with aclosing(client.generate(_request(options, seed), timeout_s=60)) as answer:
                    async for _ in answer:
                        pass
            await asyncio.sleep(FLUSH_S)
        handoffs = _read(settings.run_dir)[options.warmup :]
    return HandoffReport(options.prompt_tokens, pages, tuple(handoffs))


def _request(options: HandoffOptions, seed: int) -> GenerateRequest:
    return GenerateRequest(
        text=random_words(options.prompt_tokens, seed=seed)[: options.prompt_tokens],
        sampling=SamplingParams(temperature=0),
        stop=StopConditions(max_tokens=OUTPUT_TOKENS, ignore_eos=True),
    )


def _read(run_dir: Path) -> Sequence[Handoff]:
    spans: dict[str, dict[str, SpanRecord]] = {}
    for each in read_timeline(run_dir):
        if isinstance(each, SpanRecord) and each.name in PARTS:
            spans.setdefault(each.trace_id, {})[each.name] = each
    return [_handoff(*(parts[name] for name in PARTS)) for parts in spans.values() if len(parts) == len(PARTS)]


def _handoff(grant: SpanRecord, queue: SpanRecord, claim: SpanRecord) -> Handoff:
    return Handoff(
        total_ms=(claim.end_ns - grant.start_ns) / 1e6,
        grant_ms=grant.duration_ms,
        way_ms=(queue.start_ns - grant.end_ns) / 1e6,
        reserve_ms=queue.duration_ms,
        claim_ms=claim.duration_ms,
    )
