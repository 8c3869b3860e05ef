"""Owns the profile of both phases by Nsight Compute: SM and DRAM throughput as shares of the hardware's peak.

The metrics are the paper's. ncu replays what it measures once for each group of counters, and saves memory around it: a
kernel takes it 0.2 s. So a step is one CUDA graph, measured as a whole, and all points share one process.
"""

import csv
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from splitwiser.errors import StartupError
from splitwiser.experiments.limited import run_to_end
from splitwiser.experiments.result import PhaseProfile

MODULE = "splitwiser.engine.transformers.profiled"
PHASES = ("prefill", "decode")
"""In the order of a point's steps."""
SM = "sm__throughput.avg.pct_of_peak_sustained_elapsed"
DRAM = "dram__throughput.avg.pct_of_peak_sustained_elapsed"
TIME = "gpu__time_duration.sum"
METRICS = (SM, DRAM, TIME)
MS = {"ns": 1e-6, "nsecond": 1e-6, "us": 1e-3, "usecond": 1e-3, "ms": 1.0, "msecond": 1.0, "s": 1e3, "second": 1e3}
"""By ncu's units of time."""
RANGE = re.compile(r"<default domain>:(\w+):")
"""A range's name, in ncu's column of those that are pushed; the innermost is the last."""
PLACES = Path("/opt/nvidia/nsight-compute")
TIMEOUT_S = 300.0
HELP = "without Nsight Compute the phases are profiled by NVML"
Point = tuple[int, int]
"""Prompt tokens and batch."""


def find_ncu() -> str:
    """The program, on PATH or where its packages put it, the newest one; empty without one."""
    installed = sorted(path for path in PLACES.glob("*/ncu") if path.is_file())
    return shutil.which("ncu") or (str(installed[-1]) if installed else "")


async def profile_steps(ncu: str, model: str, dtype: str, points: Sequence[Point]) -> list[PhaseProfile]:
    """A step of each phase at each point. Raises StartupError when ncu fails, or may not read the counters."""
    with TemporaryDirectory(prefix="splitwiser-") as folder:
        table, log = Path(folder) / "ncu.csv", Path(folder) / "ncu.log"
        job = (sys.executable, "-P", "-m", MODULE, model, dtype, *(f"{tokens}x{batch}" for tokens, batch in points))
        process = await run_to_end((*command(ncu, table), *job), log, what="ncu", timeout_s=TIMEOUT_S, help=HELP)
        said = table.read_text(errors="replace") if table.exists() else ""
        if process.exit_code:
            raise StartupError(f"ncu failed: {_complaint(said)}{process.log_tail()}", help=HELP)
        return rows_of(points, said)


def command(ncu: str, table: Path) -> tuple[str, ...]:
    """ncu and its flags. Clocks stay as they are: on a shared machine they are not ours to fix."""
    # With a slash at the end: a range that is pushed and popped.
    ranges = (flag for phase in PHASES for flag in ("--nvtx-include", f"{phase}/"))
    return (
        *(ncu, "--target-processes", "all", "--clock-control", "none", "--graph-profiling", "graph", "--nvtx", *ranges),
        *("--metrics", ",".join(METRICS), "--csv", "--page", "raw", "--print-units", "base", "--log-file", str(table)),
    )


def rows_of(points: Sequence[Point], said: str) -> list[PhaseProfile]:
    """A row for each step, of ncu's table. Raises StartupError when it has other steps, or another order."""
    steps = [(phase, *point) for point in points for phase in PHASES]
    graphs = list(_graphs(said.splitlines(keepends=True)))
    if [name for name, _ in graphs] != [phase for phase, *_ in steps]:
        raise StartupError(f"ncu measured {len(graphs)} of {len(steps)} steps: {_complaint(said)}", help=HELP)
    return [
        PhaseProfile(
            phase=phase,
            prompt_tokens=prompt_tokens,
            batch=batch,
            by="Nsight Compute",
            step_ms=metrics[TIME],
            sm_percent=metrics[SM],
            dram_percent=metrics[DRAM],
        )
        for (phase, prompt_tokens, batch), (_, metrics) in zip(steps, graphs, strict=True)
    ]


def _graphs(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """Range and metrics of each graph that was measured, times in ms. ncu's own messages stand above the table."""
    units: dict[str, str] = {}
    for row in csv.DictReader(line for line in lines if line.startswith('"')):
        if not row.get("ID"):
            units = row  # The table's first row.
            continue
        names = [name for column, text in row.items() if "Push/Pop" in column for name in RANGE.findall(text)]
        try:
            metrics = {name: float(row[name].replace(",", "")) for name in METRICS}
        except (KeyError, ValueError):
            continue  # What ncu could not measure.
        metrics[TIME] *= MS.get(units.get(TIME, ""), MS["ns"])
        yield names[-1] if names else "", metrics


def _complaint(said: str) -> str:
    """What ncu itself said first: an error, and else a warning, such as the one that its clocks are left alone."""
    own = [line.strip() for line in said.splitlines() if line.startswith(("==ERROR==", "==WARNING=="))]
    return min(own, key=lambda line: not line.startswith("==ERROR=="), default="it said nothing")
