"""Owns the order of a run's measurements: the A/A pairs first, then round by round every side in turn, at every point.

Neighbours in time are what is compared, so a drift of the machine falls on all sides alike; every second round goes
backwards, so that no side always comes first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from splitwiser.experiments.definition import Definition, Plan, Point, ReplayPlan
from splitwiser.experiments.result import Sample, Stage
from splitwiser.experiments.search import refined


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement to make.

    A round's have the same seed: along its points the load changes, and not which requests it is made of.
    """

    stage: Stage
    side: str
    repeat: int
    point: Point
    seed: int

    @property
    def salt(self) -> str:
        """Another one for every task, the same whenever it is run."""
        return f"{self.stage} {self.side} {self.repeat} {self.point}"

    def is_done(self, samples: list[Sample]) -> bool:
        """Whether a resumed run has it already."""
        return any(self.matches(sample) for sample in samples)

    def matches(self, sample: Sample) -> bool:
        own = (self.stage, self.side, self.repeat, self.point)
        return own == (sample.stage, sample.side, sample.repeat, sample.point)


def tasks(definition: Definition, samples: Sequence[Sample] = ()) -> Iterator[Task]:
    """All of them, in order. A round that looks closer asks for the samples of the rounds before it when it begins."""
    yield from _aa(definition)
    for repeat in range(definition.repeats):
        yield from _round(definition, repeat, samples)


def count(definition: Definition) -> int:
    """How many there are at most."""
    return sum(1 for _ in tasks(definition))


def _aa(definition: Definition) -> Iterator[Task]:
    """Both of a pair have the same seed: what differs between them is noise."""
    point = definition.plan.points()[definition.aa_point]
    for turn in range(2 * definition.aa_pairs):
        yield Task("aa", definition.reference, turn, point, definition.seed + 100_003 * (turn // 2))


def _round(definition: Definition, repeat: int, samples: Sequence[Sample]) -> Iterator[Task]:
    sides = list(definition.sides)[:: -1 if repeat % 2 else 1]
    points = {side: _points(definition, side, repeat, samples) for side in sides}
    places = range(max(map(len, points.values())))
    pairs = (
        [(side, place) for side in sides for place in places]
        if definition.start == "each"
        else [(side, place) for place in places for side in sides]
    )
    # A closer look is at the same load: rates of another piece of a trace would be other rates.
    seed = definition.seed if _looks_closer(definition.plan) else definition.seed + 1009 * repeat
    for side, place in pairs:
        if place < len(points[side]):
            yield Task("compare", side, repeat, points[side][place], seed)


def _points(definition: Definition, side: str, repeat: int, samples: Sequence[Sample]) -> list[Point]:
    plan = definition.plan
    if not (repeat and _looks_closer(plan)):
        return plan.points()
    before = [each for each in samples if (each.stage, each.side) == ("compare", side) and each.repeat < repeat]
    return refined(plan, before)


def _looks_closer(plan: Plan) -> TypeGuard[ReplayPlan]:
    """Whether rounds after the first have rates of their own."""
    return isinstance(plan, ReplayPlan) and plan.refine > 0
