"""Owns the comparison of two results: the same sides at the same points, one run over the other.

Two runs are not interleaved, so what differs between their days is in the ratio; the wider of their noise bands is
therefore the least that a ratio must leave to say anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from splitwiser.bench.statistics import Estimate
from splitwiser.errors import ConfigurationError
from splitwiser.experiments.definition import Point
from splitwiser.experiments.estimates import noise_band, points_of, side_estimate
from splitwiser.experiments.headline import metrics_shown
from splitwiser.experiments.result import Result


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both. noise: whether the ratio lies within the wider noise band, or the intervals overlap.

    None: neither result has a band to tell it by.
    """

    metric: str
    side: str
    point: Point
    a: Estimate
    b: Estimate
    noise: bool | None

    @property
    def ratio(self) -> float:
        return self.b.value / self.a.value if self.a.value else float("nan")


def compare(a: Result, b: Result) -> list[Row]:
    """Rows for what both have. Raises ConfigurationError when that is nothing."""
    if a.experiment != b.experiment:
        raise ConfigurationError(
            f"{a.experiment} and {b.experiment} are two experiments", help="compare two runs of the same one"
        )
    rows = [*_goodput_rows(a, b), *_rows(a, b)]
    if not rows:
        raise ConfigurationError(
            "the two have no side and point in common", help="run both with the same definition and to the end"
        )
    return rows


def differences(a: Result, b: Result) -> list[str]:
    """What else is not the same: versions, machine, definition."""
    names = sorted({*a.versions, *b.versions})
    found = [
        f"{name} {a.versions.get(name, 'none')} -> {b.versions.get(name, 'none')}"
        for name in names
        if a.versions.get(name) != b.versions.get(name)
    ]
    found += [f"{one} -> {other}" for one, other in zip(_machine(a), _machine(b), strict=True) if one != other]
    if changed := _changed(a.definition, b.definition):
        found.append(f"the definitions, in {', '.join(changed)}")
    return found


def _changed(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Names of what is not the same, those of the plan apart."""
    flat = [
        {**each, **{f"plan.{name}": value for name, value in each["plan"].items()}, "plan": None} for each in (a, b)
    ]
    return [name for name in dict.fromkeys([*flat[0], *flat[1]]) if flat[0].get(name) != flat[1].get(name)]


def _machine(result: Result) -> tuple[str, str, str]:
    gpu = result.machine.gpu
    return (
        f"{result.machine.cpus} cores",
        result.machine.system,
        f"{gpu.get('name', 'no GPU')} {gpu.get('driver', '')}".rstrip(),
    )


def _goodput_rows(a: Result, b: Result) -> Iterator[Row]:
    """A/A pairs are at one rate, so there is no band for the highest one."""
    found = [each.goodput.rows if each.goodput else () for each in (a, b)]
    others = {(row.side, row.ttft_ms, row.tpot_ms, row.share): row for row in found[1]}
    for row in found[0]:
        if other := others.get((row.side, row.ttft_ms, row.tpot_ms, row.share)):
            point: Point = {"ttft_ms": row.ttft_ms, "tpot_ms": row.tpot_ms, "share": row.share}
            both = [Estimate(each.value, each.low, each.high) for each in (row, other)]
            yield Row("goodput_per_s", row.side, point, both[0], both[1], _is_noise(both[0], both[1], None))


def _rows(a: Result, b: Result) -> Iterator[Row]:
    others = points_of(b)
    for metric in metrics_shown(a):
        bands = [band for each in (a, b) if (band := noise_band(each, metric))]
        widest = max((band[1] for band in bands), default=None)
        for point in (each for each in points_of(a) if each in others):
            for side in a.definition["sides"]:
                found = [side_estimate(each, side, point, metric) for each in (a, b)]
                if found[0] and found[1]:
                    yield Row(metric, side, point, found[0], found[1], _is_noise(found[0], found[1], widest))


def _is_noise(a: Estimate, b: Estimate, widest: float | None) -> bool | None:
    ratio = b.value / a.value if a.value else 1.0
    overlap = a.low <= b.high and b.low <= a.high and (a.low, b.low) != (a.high, b.high)
    if overlap or a.value == b.value:
        return True
    return None if widest is None else 1 / widest <= ratio <= widest
