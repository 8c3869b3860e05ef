"""Owns the contract of a measurement: a side and a point in, figures out."""

from dataclasses import dataclass, field
from typing import Protocol

from splitwiser.experiments.definition import Point
from splitwiser.experiments.result import Request
from splitwiser.experiments.sides.target import Target


@dataclass(slots=True)
class Measured:
    """metrics: by name, the unit at its end. series: values over time, as (ms after the beginning, value)."""

    metrics: dict[str, float]
    requests: list[Request] = field(default_factory=list)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


class Measure(Protocol):
    """One kind. The same seed gives every side the same requests."""

    def check(self, target: Target) -> None:
        """Raise ConfigurationError for a target that this cannot be measured on."""

    async def run(self, target: Target, point: Point, seed: int) -> Measured:
        """Measure once."""

    def gives_up(self, measured: Measured) -> bool:
        """Whether the points after this one are not worth a try for this side."""
