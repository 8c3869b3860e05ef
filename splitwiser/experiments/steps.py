"""Owns what a result keeps of the engines' steps: a few seconds of them, and the pages in use over the whole sample."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from splitwiser.experiments.result import Step
from splitwiser.telemetry.records import StepRecord
from splitwiser.telemetry.timeline import read_timeline

FLUSH_S = 0.5
"""A timeline's writer brings its records to the file within this."""
KEPT_MS = 4000.0
MOST_STEPS = 400
MOST_POINTS = 250


async def steps_since(run_dir: Path, start_ns: int) -> list[Step]:
    """All steps of all engines of a stack since then (wall clock), oldest first."""
    await asyncio.sleep(FLUSH_S)
    records = await asyncio.to_thread(read_timeline, run_dir, since_ns=start_ns)
    return [_step(each, start_ns) for each in records if isinstance(each, StepRecord)]


def excerpt(steps: Sequence[Step]) -> list[Step]:
    """The steps of KEPT_MS from the middle of the sample, where it is neither filling nor draining."""
    if not steps:
        return []
    middle_ms = (steps[0].start_ms + steps[-1].end_ms) / 2
    start_ms = max(steps[0].start_ms, middle_ms - KEPT_MS / 2)
    return [step for step in steps if start_ms <= step.start_ms < start_ms + KEPT_MS][:MOST_STEPS]


def pages_in_use(steps: Sequence[Step]) -> dict[str, list[tuple[float, float]]]:
    """Pages over time by engine, thinned; only of engines that count them."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for step in steps:
        if step.pages is not None:
            curves.setdefault(f"pages {step.instance}", []).append((step.end_ms, float(step.pages)))
    return {name: curve[:: -(-len(curve) // MOST_POINTS)] for name, curve in curves.items()}


def _step(record: StepRecord, start_ns: int) -> Step:
    return Step(
        instance=record.instance,
        phase=record.phase,
        start_ms=round((record.start_ns - start_ns) / 1e6, 3),
        end_ms=round((record.end_ns - start_ns) / 1e6, 3),
        batch=record.batch_size,
        tokens=record.tokens,
        pages=record.pages_in_use,
    )
