"""Owns the measurement of a hand-off: from the start of a grant to pages adopted, and what each part of the way takes.

Requests go one by one over an idle stack of the sim engine. What is left is the way of the grant to the store, and of
the handle from there to decode, whose claim waits for it. The times are those of the workers' spans.
"""

import asyncio
import json
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

SCHEMA = "splitwiser.handoff/2"
OUTPUT_TOKENS = 4
POOL_PROMPTS = 64
"""Prompts that the pool holds: as in use, where decode has pages to spare when a claim comes."""
PREFILL_US_PER_TOKEN = 5
"""A prompt takes as long as on a fast GPU: time for decode to be told of the promise, as in use."""
PARTS = (names.GRANT, names.CLAIM)
FLUSH_S = 0.5
FLUSHES = 20
"""How long, and how often, to wait for the workers' spans on their way to the timeline."""


@dataclass(frozen=True, slots=True)
class HandoffOptions:
    """prompt_tokens: of each request, so that it fills prompt_tokens / page_tokens pages."""

    requests: int = 50
    warmup: int = 5
    prompt_tokens: int = 4096
    page_tokens: int = 16


@dataclass(frozen=True, slots=True)
class Handoff:
    """One hand-off's times, grant, wait and claim one after another.

    grant: prefill's request to the pages granted; wait: of the grant for decode to have pages, 0 where the claim was
    there first; claim: pages granted, and reserved, to adopted. grant_call: until prefill has the store's answer.
    """

    total_ms: float
    grant_ms: float
    wait_ms: float
    claim_ms: float
    grant_call_ms: float


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
            "sim": {"prefill_us_per_token": PREFILL_US_PER_TOKEN, "decode_step_us": 0, "decode_us_per_sequence": 0},
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
            handoffs = await _all_handoffs(settings.run_dir, options.warmup + options.requests)
    return HandoffReport(options.prompt_tokens, pages, tuple(handoffs[options.warmup :]))


async def _all_handoffs(run_dir: Path, count: int) -> list[Handoff]:
    for _ in range(FLUSHES):
        await asyncio.sleep(FLUSH_S)
        if len(handoffs := read_handoffs(run_dir)) >= count:
            break
    return handoffs


def _request(options: HandoffOptions, seed: int) -> GenerateRequest:
    return GenerateRequest(
        text=random_words(options.prompt_tokens, seed=seed)[: options.prompt_tokens],
        sampling=SamplingParams(temperature=0),
        stop=StopConditions(max_tokens=OUTPUT_TOKENS, ignore_eos=True),
    )


def read_handoffs(run_dir: Path) -> list[Handoff]:
    """Every hand-off of a stack's timeline, in its order."""
    spans: dict[str, dict[str, SpanRecord]] = {}
    for each in read_timeline(run_dir):
        if isinstance(each, SpanRecord) and each.name in PARTS:
            spans.setdefault(each.trace_id, {})[each.name] = each
    pairs = [(parts[names.GRANT], parts[names.CLAIM]) for parts in spans.values() if len(parts) == len(PARTS)]
    return [_handoff(grant, claim) for grant, claim in sorted(pairs, key=lambda pair: pair[0].start_ns)]


def _handoff(grant: SpanRecord, claim: SpanRecord) -> Handoff:
    total_ms, wait_ms = (claim.end_ns - grant.start_ns) / 1e6, claim.attributes[names.GRANT_WAIT_MS]
    assert isinstance(wait_ms, int | float), "a number, as decode wrote it"
    return Handoff(
        total_ms=total_ms,
        grant_ms=total_ms - wait_ms - claim.duration_ms,
        wait_ms=wait_ms,
        claim_ms=claim.duration_ms,
        grant_call_ms=grant.duration_ms,
    )
