"""Owns the profile of both phases by Nsight Compute: SM and DRAM throughput as shares of the hardware's peak.

The metrics are the paper's. Each phase runs in an NVTX range of its own; a phase's figure is the mean over its kernels,
weighted by their time.
"""

import csv
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from splitwiser.errors import StartupError
from splitwiser.experiments.definition import BurstPlan, Definition
from splitwiser.experiments.result import PhaseProfile
from splitwiser.stack.process import Process

MODULE = "splitwiser.engine.transformers.profiled"
SM = "sm__throughput.avg.pct_of_peak_sustained_elapsed"
DRAM = "dram__throughput.avg.pct_of_peak_sustained_elapsed"
TIME = "gpu__time_duration.sum"
PHASES = ("prefill", "decode")


def is_possible(definition: Definition) -> bool:
    """Whether it is asked for, on a GPU, and Nsight Compute is there."""
    wanted = definition.profile and isinstance(definition.plan, BurstPlan)
    device = definition.settings_of(definition.reference).engine.device
    return wanted and device == "cuda" and shutil.which("ncu") is not None


async def profile(definition: Definition, say: Callable[[str], None]) -> list[PhaseProfile]:
    """Over the plan's input tokens at its largest batch, and over its batches at its longest input."""
    assert isinstance(definition.plan, BurstPlan)
    prompts, batches = definition.plan.prompt_tokens, definition.plan.batch
    points = {(tokens, max(batches)) for tokens in prompts} | {(max(prompts), batch) for batch in batches}
    rows = []
    for prompt_tokens, batch in sorted(points):
        for phase in PHASES:
            say(f"Nsight Compute: {phase} of {batch} x {prompt_tokens} tokens")
            rows.append(await _profiled(definition, phase, prompt_tokens, batch))
    return rows


async def _profiled(definition: Definition, phase: str, prompt_tokens: int, batch: int) -> PhaseProfile:
    engine = definition.settings_of(definition.reference).engine
    with TemporaryDirectory(prefix="splitwiser-") as folder:
        table, log = Path(folder) / "ncu.csv", Path(folder) / "ncu.log"
        # Clocks stay as they are: on a shared machine they are not ours to fix.
        flags = ("--csv", "--print-units", "base", "--clock-control", "none", "--nvtx", "--nvtx-include", f"{phase}/")
        command = (
            *("ncu", *flags, "--metrics", ",".join((SM, DRAM, TIME)), "--log-file", str(table)),
            *(sys.executable, "-m", MODULE, engine.model, engine.dtype, str(prompt_tokens), str(batch)),
        )
        process = await Process.start(command, log)
        try:
            code = await process.wait()
        finally:
            process.kill()
        if code:
            raise StartupError(f"ncu failed{process.log_tail()}", help="give --set profile=false to leave it out")
        with table.open(newline="") as lines:
            return summed(phase, prompt_tokens, batch, lines)


def summed(phase: str, prompt_tokens: int, batch: int, lines: Iterable[str]) -> PhaseProfile:
    """A phase's row, of ncu's table of kernels. Raises StartupError when no kernel is in it."""
    kernels = list(_kernels(lines))
    whole_ns = sum(kernel[TIME] for kernel in kernels)
    if not whole_ns:
        raise StartupError(f"ncu saw no kernel of the {phase}", help="give --set profile=false to leave it out")
    return PhaseProfile(
        phase=phase,
        prompt_tokens=prompt_tokens,
        batch=batch,
        kernels=len(kernels),
        kernels_ms=whole_ns / 1e6,
        sm_percent=sum(kernel[SM] * kernel[TIME] for kernel in kernels) / whole_ns,
        dram_percent=sum(kernel[DRAM] * kernel[TIME] for kernel in kernels) / whole_ns,
    )


def _kernels(lines: Iterable[str]) -> Iterator[dict[str, float]]:
    """Metrics by kernel launch. ncu's own messages stand above the table."""
    table = csv.DictReader(line for line in lines if line.startswith('"'))
    launches: dict[str, dict[str, float]] = {}
    for row in table:
        launches.setdefault(row["ID"], {})[row["Metric Name"]] = float(row["Metric Value"].replace(",", ""))
    yield from (metrics for metrics in launches.values() if metrics.keys() >= {SM, DRAM, TIME})
