"""Owns the router's benchmark: a stack over the sim engine, a client process, and the report.

Two windows are measured, each over a stack of its own. Saturated: the engine's steps cost nothing, so that the router
is as busy as it can be; it falls behind and finds several tokens of a request at once, which it sends as one message.
Paced: a step takes as long as a real model's, and every token is a message of its own. The worse window's figures are
the report's.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from splitwiser.bench.process import CLOCK_TICKS_PER_S
from splitwiser.bench.router.streams import Counts, Plan, Window
from splitwiser.bench.statistics import quantile
from splitwiser.bench.temporary import temporary_settings
from splitwiser.bench.versions import versions
from splitwiser.config.schema import EngineSettings, Settings, SimSettings
from splitwiser.errors import SplitwiserError
from splitwiser.helper import helper
from splitwiser.stack.local import LocalStack

SCHEMA = "splitwiser.router/1"


@dataclass(frozen=True, slots=True)
class RouterBenchOptions:
    """Token counts are each request's. paced_step_ms is the paced engine's step; 0 leaves that window out."""

    streams: int = 64
    warmup_s: float = 2.0
    window_s: float = 10.0
    prompt_tokens: int = 64
    output_tokens: int = 256
    idle_requests: int = 50
    paced_step_ms: float = 20.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """One window. CPU seconds are of all threads: the router's alone, and for comparison the measuring client's."""

    tokens_per_router_cpu_second: float
    tokens: int
    messages: int
    tokens_per_message: float
    requests: int
    text_chars: int
    wall_s: float
    router_cpu_s: float
    client_cpu_s: float


@dataclass(frozen=True, slots=True)
class RouterReport:
    """Both windows (paced is None where it was left out), and the hand-offs of single requests on the idle stack."""

    saturated: Streamed
    paced: Streamed | None
    concurrent_streams: int
    handoffs_ms: tuple[float, ...]
    versions: dict[str, str] = field(default_factory=versions)
    schema: str = SCHEMA

    @property
    def worse(self) -> Streamed:
        """The window in which a token cost the router more."""
        return min((self.saturated, self.paced or self.saturated), key=lambda w: w.tokens_per_router_cpu_second)

    def to_json(self) -> str:
        """One JSON object on one line; its own figures are those of the worse window."""
        ordered = sorted(self.handoffs_ms)
        fields = {
            **asdict(self.worse),
            "concurrent_streams": self.concurrent_streams,
            "grant_to_first_step_ms_p50": quantile(ordered, 0.5) if ordered else None,
            "grant_to_first_step_ms_p99": quantile(ordered, 0.99) if ordered else None,
            "idle_requests": len(ordered),
            "saturated": asdict(self.saturated),
            "paced": asdict(self.paced) if self.paced else None,
            "versions": self.versions,
            "schema": self.schema,
        }
        return json.dumps(fields)


async def measure_router(options: RouterBenchOptions) -> RouterReport:
    """Start what is needed, measure, stop it. Raises StartupError, or the error of the first request that failed."""
    window = await _window(options, step_ms=0.0)
    paced = None
    if options.paced_step_ms:
        paced = _streamed(await _window(replace(options, idle_requests=0), step_ms=options.paced_step_ms))
    return RouterReport(_streamed(window), paced, options.streams, tuple(window.handoffs_ms))


async def _window(options: RouterBenchOptions, *, step_ms: float) -> Window:
    sim = SimSettings(prefill_us_per_token=0, decode_step_us=step_ms * 1e3, decode_us_per_sequence=0)
    with temporary_settings(Settings(engine=EngineSettings(kind="sim"), sim=sim)) as settings:
        async with LocalStack(settings) as stack:
            plan = Plan(
                address=stack.address,
                router_pid=stack.services["router"].pid,
                streams=options.streams,
                warmup_s=options.warmup_s,
                window_s=options.window_s,
                prompt_tokens=options.prompt_tokens,
                output_tokens=options.output_tokens,
                idle_requests=options.idle_requests,
            )
            return await _measure(plan, settings.run_dir)


async def _measure(plan: Plan, run_dir: Path) -> Window:
    """Run the client process; it leaves when it is done, and is ended when this is cancelled."""
    command = (sys.executable, "-m", "splitwiser.bench.router.streams", json.dumps(asdict(plan)))
    pipe = asyncio.subprocess.PIPE
    async with helper(*command, stdout=pipe, stderr=pipe) as client:
        output, errors = await client.communicate()
    if client.returncode:
        raise SplitwiserError(f"the client process failed:\n{errors.decode()}", help=f"see the logs in {run_dir}")
    fields = json.loads(output)
    return Window(**(fields | {"counts": Counts(**fields["counts"])}))


def _streamed(window: Window) -> Streamed:
    counts = window.counts
    return Streamed(
        tokens_per_router_cpu_second=counts.tokens / max(window.router_cpu_s, 1 / CLOCK_TICKS_PER_S),
        tokens=counts.tokens,
        messages=counts.messages,
        tokens_per_message=counts.tokens / max(1, counts.messages),
        requests=counts.requests,
        text_chars=counts.text_chars,
        wall_s=window.wall_s,
        router_cpu_s=window.router_cpu_s,
        client_cpu_s=window.client_cpu_s,
    )
