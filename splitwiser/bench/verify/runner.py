"""Owns a verification: for each model a real stack, real requests, and a verdict on every token."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from splitwiser.bench.footprint import weights_footprint
from splitwiser.bench.temporary import temporary_settings
from splitwiser.bench.verify.answers import Answer, Asker
from splitwiser.bench.verify.cases import greedy_cases, seeded_cases
from splitwiser.bench.verify.gpu_pool import view_of_pool
from splitwiser.bench.verify.handoff import BYTES_COPIED, PAGES, decode_counters, prefilled_again, surplus_pages
from splitwiser.bench.verify.judge import FoundMismatch, Judge
from splitwiser.bench.verify.plan import Plan, make_plan
from splitwiser.bench.verify.pool import PoolView
from splitwiser.bench.verify.reference import Reference, reference_for
from splitwiser.bench.verify.report import Handoff, ModelResult, VerifyReport
from splitwiser.config.schema import Settings
from splitwiser.errors import ConfigurationError
from splitwiser.rpc.client import Client
from splitwiser.stack.local import LocalStack
from splitwiser.text.model_info import load_model

WORKERS = ("prefill", "decode", "single")
"""Services that map the weights."""


class Progress(Protocol):
    """Told how far a stage of one model is: its reference, or its answers."""

    def __call__(self, model: str, stage: str, done: int, total: int) -> None: ...


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """requests: greedy requests to each model. settings.engine.model empty: the small random models, or the sim's.

    zero_pool wipes the pool whenever a first token has come, between the phases: the verification must then fail.
    """

    settings: Settings
    requests: int = 200
    concurrency: int = 64
    fail_fast: bool = False
    zero_pool: bool = False
    seed: int = 0


async def run_verification(options: VerifyOptions, on_progress: Progress) -> VerifyReport:
    """Verify every model. Raises StartupError when a stack or a model does not start."""
    _check_device(options.settings)
    started_s = time.perf_counter()
    results: list[ModelResult] = []
    stopped_early = False
    engine = options.settings.engine
    engine = engine.model_copy(update={"batch_invariant": engine.device == "cuda"})
    with temporary_settings(options.settings.model_copy(update={"engine": engine})) as settings:
        async with reference_for(settings) as reference:
            for name, model in await reference.models(engine.model, settings.run_dir / "models"):
                changed = {"engine": engine.model_copy(update={"model": model})}
                run = ModelRun(name, settings.model_copy(update=changed), reference, options, on_progress)
                results.append(await run.result())
                stopped_early = options.fail_fast and not results[-1].passed
                if stopped_early:
                    break
    return VerifyReport(engine.kind, tuple(results), time.perf_counter() - started_s, stopped_early)


def _check_device(settings: Settings) -> None:
    engine = settings.engine
    if engine.device == "cuda" and engine.kind != "vllm":
        raise ConfigurationError(
            f"on a GPU the {engine.kind} engine's numbers hang on the batch, so split and unsplit ones may differ",
            help="verify with engine.device=cpu, or the vllm engine",
            field="engine.device",
        )


class ModelRun:
    """One model's verification."""

    def __init__(
        self, name: str, settings: Settings, reference: Reference, options: VerifyOptions, on_progress: Progress
    ) -> None:
        self._name = name
        self._settings = settings
        self._reference = reference
        self._options = options
        self._on_progress = on_progress

    async def result(self) -> ModelResult:
        """Answer the requests without a stack, then with one, and compare."""
        plan = await self._plan()
        judge = Judge(self._name, plan.expected, fail_fast=self._options.fail_fast)
        async with LocalStack(self._settings) as stack, Client(stack.address, stack.settings.tls) as client:
            async with view_of_pool(stack.settings, stack.services["store"].pid) as pool:
                refusals = await self._ask(plan, judge, client, pool)
                handoff = await _handoff(stack, plan, judge, client, pool)
            workers = [status.pid for status in stack.services.values() if status.service in WORKERS]
            footprint = weights_footprint(workers) if self._settings.engine.device == "cpu" else None
        return ModelResult(
            model=self._name,
            requests=judge.greedy_requests(),
            seeded_requests=plan.seeded,
            mismatches=tuple(judge.mismatches),
            seeded_mismatches=tuple(judge.seeded_mismatches),
            weight_copies=footprint.weight_copies if footprint else None,
            weight_bytes=footprint.weight_bytes if footprint else None,
            handoff=handoff,
            cached_tokens=sum(answer.cached_tokens for answer in judge.answers),
            refusals=refusals,
        )

    async def _plan(self) -> Plan:
        info, _ = load_model(self._settings)
        requests, seed = self._options.requests, self._options.seed
        greedy = greedy_cases(requests, info, seed=seed)
        drawn = [*greedy, *seeded_cases(greedy, max(2, requests // 5), seed=seed)]
        on_answer = self._counting("reference", len(drawn))
        unstopped = await self._reference.unstopped(self._settings.engine.model, drawn, on_answer)
        return make_plan(drawn, unstopped, eos_token_ids=info.eos_token_ids, seed=seed)

    async def _ask(self, plan: Plan, judge: Judge, client: Client, pool: PoolView) -> int:
        """Send all rounds; returns how often the stack was too busy."""
        on_answer = self._counting("answers", len(plan.first) + len(plan.second) + len(plan.third))

        def take(answer: Answer) -> None:
            on_answer()
            judge.take(answer)

        asker = Asker(client, self._options.concurrency, pool.zero if self._options.zero_pool else None)
        try:
            await asker.ask_all(plan.first, "first", take)
            await asker.ask_all(plan.second, "second", take)
            await asker.ask_all(plan.third, "third", take)
        except* FoundMismatch:
            pass
        return asker.refusals

    def _counting(self, stage: str, total: int) -> Callable[[], None]:
        done = count(1)
        return lambda: self._on_progress(self._name, stage, next(done), total)


async def _handoff(stack: LocalStack, plan: Plan, judge: Judge, client: Client, pool: PoolView) -> Handoff:
    run_dir, pages_for = stack.settings.run_dir, pool.layout.pages_for
    counters, again = await decode_counters(run_dir), await prefilled_again(run_dir)
    expected = sum(pages_for(len(case.prompt_ids)) for case in judge.handed_over())
    surplus = await surplus_pages(Asker(client, 1), pool, plan.alone)
    return Handoff(counters[PAGES], expected, counters[BYTES_COPIED] + surplus * pool.layout.page_bytes, again)
