"""Owns what the measuring commands do once their flags are read: each returns a report."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from splitwiser.bench.generated import CONVERSATION_RATE_PER_S, generate
from splitwiser.bench.handoff import HandoffOptions, HandoffReport, measure_handoff
from splitwiser.bench.load import LoadObserver, LoadRun
from splitwiser.bench.prefix.conversations import Shape
from splitwiser.bench.prefix.measure import PrefixOptions, measure_prefix
from splitwiser.bench.prefix.report import PrefixReport
from splitwiser.bench.records import RequestRecord
from splitwiser.bench.report import Limits, LoadReport, summarise
from splitwiser.bench.requests import MadeUpRequests
from splitwiser.bench.restart import RestartOptions, RestartReport, measure_restart
from splitwiser.bench.router.bench import RouterBenchOptions, RouterReport, measure_router
from splitwiser.bench.trace_csv import read_trace
from splitwiser.bench.verify.report import VerifyReport
from splitwiser.bench.verify.runner import Progress, VerifyOptions, run_verification
from splitwiser.bench.workload import Workload
from splitwiser.config.schema import TlsSettings
from splitwiser.errors import ConfigurationError
from splitwiser.rpc.client import Client

__all__ = [
    "HandoffOptions",
    "LoadOptions",
    "LoadResult",
    "PrefixOptions",
    "RestartOptions",
    "RouterBenchOptions",
    "Shape",
    "VerifyOptions",
    "bench_handoff",
    "bench_load",
    "bench_prefix",
    "bench_restart",
    "bench_router",
    "verify",
]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """trace: a CSV file; None generates conversation-like requests, rate_per_s and burstiness say how they arrive.

    With a trace, rate_per_s scales its gaps to that mean rate, and None keeps them. max_tokens bounds prompt and output
    together, 0 takes the model's length; lengths says whether longer requests are cut or all lengths scaled down.
    """

    address: str
    trace: Path | None = None
    requests: int = 100
    rate_per_s: float | None = None
    burstiness: float = 1.0
    max_tokens: int = 0
    lengths: Literal["scale", "clip"] = "clip"
    as_text: bool = False
    timeout_s: float = 600.0
    limits: Limits = field(default_factory=Limits)
    tls: TlsSettings = field(default_factory=TlsSettings)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The report, and every request behind it."""

    report: LoadReport
    records: Sequence[RequestRecord]

    def to_json(self) -> str:
        """The report's one line."""
        return self.report.to_json()


async def bench_load(options: LoadOptions, observer: LoadObserver | None = None) -> LoadResult:
    """Send open-loop load to a running stack. Raises ConfigurationError, or what the stack answers to GetModel."""
    planned = plan_workload(options)
    async with Client(options.address, options.tls) as client:
        model = await client.get_model()
        workload = _fitted(planned, options, model.max_tokens)
        requests = MadeUpRequests(model, run=f"bench-{uuid.uuid4().hex[:8]}", as_text=options.as_text)
        send = partial(client.generate, timeout_s=options.timeout_s)
        records = await LoadRun(send, requests.build, observer).run(workload)
    return LoadResult(summarise(workload, records, target=options.address, limits=options.limits), records)


def plan_workload(options: LoadOptions) -> Workload:
    """The workload as asked for, its lengths not yet fitted to a model."""
    if options.rate_per_s is not None and not options.rate_per_s > 0:
        raise ConfigurationError(f"is {options.rate_per_s}", field="rate_per_s", help="more than 0 requests per second")
    if options.trace:
        workload = read_trace(options.trace, seed=options.seed).first(options.requests)
        return workload.at_rate(options.rate_per_s) if options.rate_per_s else workload
    rate_per_s = options.rate_per_s or CONVERSATION_RATE_PER_S
    return generate(options.requests, rate_per_s=rate_per_s, burstiness=options.burstiness, seed=options.seed)


def _fitted(workload: Workload, options: LoadOptions, model_max_tokens: int) -> Workload:
    max_tokens = options.max_tokens or model_max_tokens
    if not 2 <= max_tokens <= model_max_tokens:
        raise ConfigurationError(f"is {max_tokens}", field="max_tokens", help=f"2 to {model_max_tokens} for this model")
    return workload.fitted(max_tokens) if options.lengths == "scale" else workload.clipped(max_tokens)


async def bench_router(options: RouterBenchOptions | None = None) -> RouterReport:
    """Measure the router alone, over a stack of its own with the sim engine."""
    return await measure_router(options or RouterBenchOptions())


async def bench_restart(options: RestartOptions) -> RestartReport:
    """Measure how soon a killed decode worker's successor answers, over stacks of its own."""
    return await measure_restart(options)


async def bench_handoff(options: HandoffOptions) -> HandoffReport:
    """Measure hand-offs one by one, over an idle stack of its own with the sim engine."""
    return await measure_handoff(options)


async def bench_prefix(options: PrefixOptions) -> PrefixReport:
    """Measure how much of conversations' prompts is cached, over stacks of its own, beside one unsplit vLLM."""
    return await measure_prefix(options)


async def verify(options: VerifyOptions, on_progress: Progress | None = None) -> VerifyReport:
    """Compare split with unsplit generation, token by token, over stacks of its own. report.passed is the verdict."""
    return await run_verification(options, on_progress or _no_progress)


def _no_progress(model: str, stage: str, done: int, total: int) -> None:
    pass
