"""Owns the profile of both phases: by Nsight Compute where that is there and works, else by NVML."""

from collections.abc import AsyncIterator, Callable, Sequence

from splitwiser.config.schema import EngineSettings
from splitwiser.errors import StartupError
from splitwiser.experiments.definition import BurstPlan, Definition
from splitwiser.experiments.nsight import PHASES, Point, find_ncu, profile_steps
from splitwiser.experiments.phase_load import profile_load
from splitwiser.experiments.result import PhaseProfile

Say = Callable[[str], None]
Profiler = Callable[[EngineSettings, Sequence[Point], Say], AsyncIterator[PhaseProfile]]
"""Both phases' rows at each point, as they come. Raises StartupError."""


def is_wanted(definition: Definition) -> bool:
    """Whether it is asked for, on a GPU."""
    device = definition.settings_of(definition.reference).engine.device
    return definition.profile and isinstance(definition.plan, BurstPlan) and device == "cuda"


async def profile(definition: Definition, rows: list[PhaseProfile], say: Say) -> list[str]:
    """Add a row for each phase and point as it comes, all by one profiler; a point whose rows are there stays.

    Returns notes on the profilers that failed; no rows are left when all did.
    """
    engine = definition.settings_of(definition.reference).engine
    assert isinstance(definition.plan, BurstPlan)
    notes: list[str] = []
    for name, profiler in PROFILERS.items():
        if rows and rows[0].by != name:
            continue
        try:
            missing = _missing(points_of(definition.plan), rows)
            async for row in profiler(engine, missing, say):
                rows.append(row)  # noqa: PERF401 - each as it comes: the run may be stopped
            return notes
        except StartupError as error:
            rows.clear()
            notes.append(f"no profile by {name}: {error.cause}")
            say(notes[-1])
    return notes


def points_of(plan: BurstPlan) -> list[Point]:
    """Over the plan's input tokens at its largest batch, and over its batches at its longest input."""
    prompts, batches = plan.prompt_tokens, plan.batch
    return sorted({(tokens, max(batches)) for tokens in prompts} | {(max(prompts), batch) for batch in batches})


def _missing(points: Sequence[Point], rows: list[PhaseProfile]) -> list[Point]:
    """Points without both rows; one of them alone is taken out, and measured again."""
    done = {(row.prompt_tokens, row.batch) for row in rows if row.phase == PHASES[-1]}
    rows[:] = [row for row in rows if (row.prompt_tokens, row.batch) in done]
    return [point for point in points if point not in done]


async def _by_nsight(engine: EngineSettings, points: Sequence[Point], say: Say) -> AsyncIterator[PhaseProfile]:
    if not (ncu := find_ncu()):
        raise StartupError("there is no ncu", help="install it, or be content with NVML")
    if points:
        say(f"Nsight Compute: both phases at {len(points)} points")
        for row in await profile_steps(ncu, engine.model, engine.dtype, points):
            yield row


async def _by_nvml(engine: EngineSettings, points: Sequence[Point], say: Say) -> AsyncIterator[PhaseProfile]:
    for prompt_tokens, batch in points:
        for phase in PHASES:
            say(f"NVML: {phase} of {batch} x {prompt_tokens} tokens")
            yield await profile_load(engine.model, engine.dtype, phase, prompt_tokens, batch)


PROFILERS: dict[str, Profiler] = {"Nsight Compute": _by_nsight, "NVML": _by_nvml}
