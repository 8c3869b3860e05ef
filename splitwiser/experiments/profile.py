"""Owns the profile of both phases: by Nsight Compute where that is there and works, else by NVML, without kernels."""

from collections.abc import Awaitable, Callable

from splitwiser.errors import StartupError
from splitwiser.experiments.definition import BurstPlan, Definition
from splitwiser.experiments.nsight import find_ncu, profile_kernels
from splitwiser.experiments.phase_load import profile_load
from splitwiser.experiments.result import PhaseProfile

PHASES = ("prefill", "decode")
Profiler = Callable[[str, int, int], Awaitable[PhaseProfile]]
"""Takes phase, prompt tokens and batch. Raises StartupError."""


def is_wanted(definition: Definition) -> bool:
    """Whether it is asked for, on a GPU."""
    device = definition.settings_of(definition.reference).engine.device
    return definition.profile and isinstance(definition.plan, BurstPlan) and device == "cuda"


async def profile(definition: Definition, rows: list[PhaseProfile], say: Callable[[str], None]) -> list[str]:
    """Add a row for each phase and point as it comes, all by one profiler; rows that are there already stay.

    Returns notes on the profilers that failed; no rows are left when all did.
    """
    notes: list[str] = []
    for name, profiler in _profilers(definition).items():
        if rows and rows[0].by != name:
            continue
        try:
            await _all_points(definition, rows, name, profiler, say)
            return notes
        except StartupError as error:
            rows.clear()
            notes.append(f"no profile by {name}: {error.cause}")
            say(notes[-1])
    return notes


def _profilers(definition: Definition) -> dict[str, Profiler]:
    engine, ncu = definition.settings_of(definition.reference).engine, find_ncu()

    async def kernels(phase: str, prompt_tokens: int, batch: int) -> PhaseProfile:
        if not ncu:
            raise StartupError("there is no ncu", help="install it, or be content with NVML")
        return await profile_kernels(ncu, engine.model, engine.dtype, phase, prompt_tokens, batch)

    async def load(phase: str, prompt_tokens: int, batch: int) -> PhaseProfile:
        return await profile_load(engine.model, engine.dtype, phase, prompt_tokens, batch)

    return {"Nsight Compute": kernels, "NVML": load}


async def _all_points(
    definition: Definition, rows: list[PhaseProfile], name: str, profiler: Profiler, say: Callable[[str], None]
) -> None:
    """Over the plan's input tokens at its largest batch, and over its batches at its longest input."""
    assert isinstance(definition.plan, BurstPlan)
    prompts, batches = definition.plan.prompt_tokens, definition.plan.batch
    points = {(tokens, max(batches)) for tokens in prompts} | {(max(prompts), batch) for batch in batches}
    done = {(row.phase, row.prompt_tokens, row.batch) for row in rows}
    for prompt_tokens, batch in sorted(points):
        for phase in PHASES:
            if (phase, prompt_tokens, batch) not in done:
                say(f"{name}: {phase} of {batch} x {prompt_tokens} tokens")
                rows.append(await profiler(phase, prompt_tokens, batch))
