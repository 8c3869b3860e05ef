"""Owns the profile of a phase by Nsight Compute: SM and DRAM throughput as shares of the hardware's peak.

The metrics are the paper's. The phase runs in an NVTX range of its own; its figure is the mean over its kernels,
weighted by their time. ncu runs each kernel several times and one by one, so only a step is profiled, and few kernels.
"""

import csv
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from splitwiser.errors import StartupError
from splitwiser.experiments.limited import run_to_end
from splitwiser.experiments.result import PhaseProfile

MODULE = "splitwiser.engine.transformers.profiled"
SM = "sm__throughput.avg.pct_of_peak_sustained_elapsed"
DRAM = "dram__throughput.avg.pct_of_peak_sustained_elapsed"
TIME = "gpu__time_duration.sum"
METRICS = (SM, DRAM, TIME)
NS = {"usecond": 1e3, "us": 1e3, "msecond": 1e6, "ms": 1e6, "second": 1e9, "s": 1e9}
"""By ncu's units of time; others are nanoseconds."""
PLACES = Path("/opt/nvidia/nsight-compute")
MOST_KERNELS = 600
"""More than a step of the paper's model has."""
TIMEOUT_S = 150.0
HELP = "without Nsight Compute the phases are profiled by NVML"


def find_ncu() -> str:
    """The program, on PATH or where its packages put it, the newest one; empty without one."""
    installed = sorted(path for path in PLACES.glob("*/ncu") if path.is_file())
    return shutil.which("ncu") or (str(installed[-1]) if installed else "")


async def profile_kernels(ncu: str, model: str, dtype: str, phase: str, prompt_tokens: int, batch: int) -> PhaseProfile:
    """One step of the phase. Raises StartupError when ncu fails, sees no kernel, or may not read the counters."""
    with TemporaryDirectory(prefix="splitwiser-") as folder:
        table, log = Path(folder) / "ncu.csv", Path(folder) / "ncu.log"
        job = (sys.executable, "-P", "-m", MODULE, model, dtype, str(prompt_tokens), str(batch))
        profiled = (*command(ncu, phase, table), *job)
        process = await run_to_end(profiled, log, what="ncu", timeout_s=TIMEOUT_S, help=HELP)
        said = table.read_text(errors="replace") if table.exists() else ""
        if process.exit_code:
            raise StartupError(f"ncu failed: {_complaint(said)}{process.log_tail()}", help=HELP)
        return summed(phase, prompt_tokens, batch, said.splitlines(keepends=True))


def command(ncu: str, phase: str, table: Path) -> tuple[str, ...]:
    """ncu and its flags. Clocks stay as they are: on a shared machine they are not ours to fix."""
    return (
        *(ncu, "--target-processes", "all", "--clock-control", "none"),
        # With a slash at the end: a range that is pushed and popped.
        *("--nvtx", "--nvtx-include", f"{phase}/", "--launch-count", str(MOST_KERNELS)),
        *("--metrics", ",".join(METRICS), "--csv", "--page", "raw", "--print-units", "base"),
        *("--log-file", str(table)),
    )


def summed(phase: str, prompt_tokens: int, batch: int, lines: Iterable[str]) -> PhaseProfile:
    """A phase's row, of ncu's table of kernels. Raises StartupError when no kernel is in it."""
    lines = list(lines)
    kernels = list(_kernels(lines))
    whole_ns = sum(kernel[TIME] for kernel in kernels)
    if not whole_ns:
        raise StartupError(f"ncu saw no kernel of the {phase}: {_complaint(''.join(lines))}", help=HELP)
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
    units: dict[str, str] = {}
    for row in table:
        if "Metric Name" in row:
            # The page of details: a row for each metric.
            read = [(row["Metric Name"], row["Metric Value"], row["Metric Unit"])]
        elif row.get("ID"):
            read = [(name, row.get(name, ""), units.get(name, "")) for name in METRICS]
        else:
            # The raw page: a row for each kernel, and one of units on top.
            units = row
            continue
        for name, value, unit in read:
            if (number := _number(value)) is not None:
                launches.setdefault(row["ID"], {})[name] = number * (NS.get(unit, 1.0) if name == TIME else 1.0)
    yield from (metrics for metrics in launches.values() if metrics.keys() >= set(METRICS))


def _number(text: str) -> float | None:
    """None for what ncu could not measure."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _complaint(said: str) -> str:
    """What ncu itself said last."""
    own = [line.strip() for line in said.splitlines() if line.startswith(("==ERROR==", "==WARNING=="))]
    return own[0] if own else "it said nothing"
