"""Owns the profile of a phase by NVML: the phase alone, step after step, while SM activity and DRAM use are sampled."""

import json
import sys
import time
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from splitwiser.errors import StartupError
from splitwiser.experiments.busy import EVERY_S, Series, sampled
from splitwiser.experiments.limited import run_to_end
from splitwiser.experiments.nsight import MODULE
from splitwiser.experiments.result import PhaseProfile

LOAD_S = 2.0
TIMEOUT_S = 120.0
SM, DRAM = "SM activity %", "DRAM %"
"""Series of a GPU that tells them, of the Hopper generation or later."""


async def profile_load(model: str, dtype: str, phase: str, prompt_tokens: int, batch: int) -> PhaseProfile:
    """Raises StartupError when the load fails, or this GPU does not tell."""
    with TemporaryDirectory(prefix="splitwiser-") as folder:
        told, log = Path(folder) / "told.json", Path(folder) / "load.log"
        module = (MODULE, model, dtype, f"{prompt_tokens}x{batch}", "--repeat", phase, str(LOAD_S), str(told))
        job = (sys.executable, "-P", "-m", *module)
        start_ns = time.time_ns()
        async with sampled("cuda") as series:
            process = await run_to_end(job, log, what=f"the {phase}", timeout_s=TIMEOUT_S, help="is the GPU free?")
        if process.exit_code:
            raise StartupError(f"the {phase} failed{process.log_tail()}", help="a smaller batch may fit")
        return row_of(phase, prompt_tokens, batch, series, json.loads(told.read_text()), start_ns)


def row_of(
    phase: str, prompt_tokens: int, batch: int, series: Series, told: dict[str, int], start_ns: int
) -> PhaseProfile:
    """The means over the load. told: begin_ns and end_ns (wall clock), steps. start_ns: when the series began."""
    begin_ms, end_ms = ((told[name] - start_ns) / 1e6 for name in ("begin_ns", "end_ns"))
    # A value is of the EVERY_S before it.
    means = {
        name: [value for at_ms, value in series.get(name, []) if begin_ms + 1e3 * EVERY_S <= at_ms <= end_ms]
        for name in (SM, DRAM)
    }
    if not all(means.values()):
        raise StartupError("NVML tells no SM activity and DRAM use of this GPU", help="it takes a Hopper, or later")
    return PhaseProfile(
        phase=phase,
        prompt_tokens=prompt_tokens,
        batch=batch,
        by="NVML",
        step_ms=(end_ms - begin_ms) / told["steps"],
        sm_percent=fmean(means[SM]),
        dram_percent=fmean(means[DRAM]),
    )
