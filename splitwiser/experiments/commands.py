"""Owns what `splitwiser experiment run` and `report` do once their flags are read."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from splitwiser.errors import ConfigurationError
from splitwiser.experiments.catalogue import read_definition
from splitwiser.experiments.compare import differences
from splitwiser.experiments.definition import Definition, RecoveryPlan, ReplayPlan, Side
from splitwiser.experiments.machine import empty_result
from splitwiser.experiments.measure.replay import trace_of
from splitwiser.experiments.models import with_model
from splitwiser.experiments.report.page import write_report
from splitwiser.experiments.result import FILE, Result, read_result
from splitwiser.experiments.run import Progress, Run

RUNS = Path("runs/experiments")
ENDPOINT_SIDE = "endpoint"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """folder: where the experiments are. out: where the result goes; None makes a folder under RUNS."""

    folder: Path
    name: str
    quick: bool = False
    endpoint: str = ""
    trace: Path | None = None
    out: Path | None = None
    resume: bool = False
    sets: Sequence[str] = ()
    sides: Sequence[str] = ()
    """Only these, the first of them as reference where the experiment's own is not among them. Empty: all."""


async def run_experiment(options: RunOptions, progress: Progress) -> tuple[Result, Path]:
    """The result, and the folder that it and its report are in.

    Raises ConfigurationError for a wrong definition, trace or folder before anything starts. Cancelled, the result so
    far and its report are in the folder.
    """
    definition = _definition(options)
    folder = options.out or _folder(options)
    result = _begun(definition, options, folder)
    running = await with_model(definition, options.folder, progress.say)
    try:
        await Run(running, result, folder, progress).whole()
    finally:
        write_report(result, folder)
    return result, folder


def _definition(options: RunOptions) -> Definition:
    definition = read_definition(options.folder, options.name, quick=options.quick, sets=options.sets)
    if options.trace:
        if not isinstance(definition.plan, ReplayPlan):
            raise ConfigurationError(f"{options.name} replays no trace", field="--trace", help="leave it out")
        plan = definition.plan.model_copy(update={"trace": str(options.trace)})
        definition = definition.model_copy(update={"plan": plan})
    if isinstance(definition.plan, ReplayPlan) and definition.plan.trace:
        # A bad line is told before anything is started.
        trace_of(definition.plan)
    if options.sides:
        definition = _only(definition, options.sides)
    return _at_endpoint(definition) if options.endpoint else definition


def _only(definition: Definition, sides: Sequence[str]) -> Definition:
    unknown = [name for name in sides if name not in definition.sides]
    if unknown:
        there = ", ".join(definition.sides)
        raise ConfigurationError(f"there is no side {unknown[0]!r}", field="--side", help=f"there are {there}")
    reference = definition.reference if definition.reference in sides else sides[0]
    kept = {name: definition.sides[name] for name in sides}
    return definition.model_copy(update={"sides": kept, "reference": reference})


def _at_endpoint(definition: Definition) -> Definition:
    """One side: what runs there is what it is."""
    if isinstance(definition.plan, RecoveryPlan):
        raise ConfigurationError(
            f"{definition.name} kills workers, which it does to stacks of its own alone",
            field="--endpoint",
            help="run it without, on this machine",
        )
    side = Side(stack="unsplit", note="a running stack, by its address")
    changed = {"sides": {ENDPOINT_SIDE: side}, "reference": ENDPOINT_SIDE, "settings": {}, "model": ""}
    return definition.model_copy(update=changed)


def _folder(options: RunOptions) -> Path:
    """A new folder; to resume, the newest one of this experiment."""
    if options.resume:
        earlier = sorted(path.parent for path in RUNS.glob(f"{options.name}-*/{FILE}"))
        if earlier:
            return earlier[-1]
    return RUNS / f"{options.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _begun(definition: Definition, options: RunOptions, folder: Path) -> Result:
    """An empty result, or the one that is gone on with."""
    fresh = empty_result(definition, quick=options.quick, endpoint=options.endpoint)
    if not (folder / FILE).exists():
        return fresh
    if not options.resume:
        raise ConfigurationError(
            "holds a result already", field=str(folder), help="give --resume to go on with it, or another --out"
        )
    earlier = read_result(folder)
    if earlier.definition != fresh.definition:
        raise ConfigurationError(
            "holds a result of another definition", field=str(folder), help="resume with the same flags and files"
        )
    if earlier.endpoint != fresh.endpoint:
        raise ConfigurationError(
            f"holds a result of {earlier.endpoint or 'stacks of its own'}, not of {fresh.endpoint or 'such'}",
            field=str(folder),
            help="resume with the same --endpoint, or name another --out",
        )
    if not earlier.complete:
        earlier.notes += [f"resumed: {line}" for line in differences(earlier, fresh)]
    return earlier
