"""Owns the order of a run's measurements: the A/A pairs first, then round by round every side in turn, at every point.

Neighbours in time are what is compared, so a drift of the machine falls on all sides alike; every second round goes
backwards, so that no side always comes first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from splitwiser.experiments.definition import Definition, Point
from splitwiser.experiments.result import Sample, Stage


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement to make. All sides of a round and point have the same seed."""

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


def tasks(definition: Definition) -> list[Task]:
    """All of them, in order."""
    return [*_aa(definition), *_compare(definition)]


def _aa(definition: Definition) -> Iterator[Task]:
    """Both of a pair have the same seed: what differs between them is noise."""
    point = definition.plan.points()[definition.aa_point]
    for turn in range(2 * definition.aa_pairs):
        yield Task("aa", definition.reference, turn, point, definition.seed + 100_003 * (turn // 2))


def _compare(definition: Definition) -> Iterator[Task]:
    points = list(enumerate(definition.plan.points()))
    for repeat in range(definition.repeats):
        sides = list(definition.sides)[:: -1 if repeat % 2 else 1]
        pairs = (
            [(side, point) for side in sides for point in points]
            if definition.start == "each"
            else [(side, point) for point in points for side in sides]
        )
        for side, (place, point) in pairs:
            yield Task("compare", side, repeat, point, definition.seed + 1009 * repeat + place)
