"""Owns the measurement of a restart: how soon a killed decode worker's successor answers, beside a stack's cold start.

Each run has two stacks of its own, one whose workers have spares and one without, and a kill in each. A time ends with
a whole answer of two tokens, which takes both phases.
"""

import json
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from statistics import median

from splitwiser.bench.temporary import temporary_settings
from splitwiser.bench.versions import versions
from splitwiser.config.schema import Settings
from splitwiser.rpc.client import Client
from splitwiser.stack.local import LocalStack
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import StopConditions

SCHEMA = "splitwiser.restart/1"
KILLED = "decode-0"
ANSWER_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class RestartOptions:
    """settings: of the stacks; runs: of each kind."""

    settings: Settings
    runs: int = 3


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds from a stack's start, and from a kill, to an answer."""

    spares: bool
    cold_start_s: float
    restart_s: float


@dataclass(frozen=True, slots=True)
class RestartReport:
    """Every run of both kinds."""

    engine: str
    model: str
    device: str
    runs: tuple[Run, ...]
    versions: dict[str, str] = field(default_factory=versions)
    schema: str = SCHEMA

    def to_json(self) -> str:
        """One JSON object on one line. Times are medians; ratios are of a restart to all cold starts."""
        cold_s = median(run.cold_start_s for run in self.runs)
        alone_s, spare_s = (
            median(run.restart_s for run in self.runs if run.spares == spares) for spares in (False, True)
        )
        figures = {
            "cold_start_s": cold_s,
            "restart_s": spare_s,
            "restart_without_spare_s": alone_s,
            "restart_to_cold_start": spare_s / cold_s,
            "restart_without_spare_to_cold_start": alone_s / cold_s,
        }
        return json.dumps(figures | asdict(self))


async def measure_restart(options: RestartOptions) -> RestartReport:
    """Start, kill and stop. Raises StartupError, or the error of a request that was not answered."""
    runs = [await _run(options.settings, spares) for _ in range(options.runs) for spares in (False, True)]
    engine = options.settings.engine
    return RestartReport(engine.kind, engine.model, engine.device, tuple(runs))


async def _run(settings: Settings, spares: bool) -> Run:
    kept = settings.stack.model_copy(update={"spares": "on" if spares else "off"})
    with temporary_settings(settings.model_copy(update={"stack": kept})) as own:
        started_s = time.perf_counter()
        async with LocalStack(own) as stack, Client(stack.address, stack.settings.tls) as client:
            await _answer(client)
            answered_s = time.perf_counter()
            await stack.prepared()
            os.kill(stack.services[KILLED].pid, signal.SIGKILL)
            killed_s = time.perf_counter()
            await _answer(client)
            return Run(spares, answered_s - started_s, time.perf_counter() - killed_s)


async def _answer(client: Client) -> None:
    request = GenerateRequest(text="again", stop=StopConditions(max_tokens=2, ignore_eos=True))
    async for _ in client.generate(request, timeout_s=ANSWER_TIMEOUT_S):
        pass
