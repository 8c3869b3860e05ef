"""Owns how a result looks in a terminal. Imports rich, so it is imported only where something is shown."""

from collections.abc import Iterator

from rich import box
from rich.table import Table

from splitwiser.bench.statistics import Estimate
from splitwiser.experiments.definition import Point
from splitwiser.experiments.estimates import METHOD, noise_band, points_of, ratio, side_estimate
from splitwiser.experiments.headline import metrics_shown
from splitwiser.experiments.result import Result


def tables(result: Result) -> Iterator[Table]:
    """One table a metric: sides by points, each with its interval and its ratio to the reference."""
    if result.goodput:
        yield _goodput(result)
    for metric in metrics_shown(result):
        yield _metric(result, metric)


def _metric(result: Result, metric: str) -> Table:
    reference = str(result.definition["reference"])
    band = noise_band(result, metric)
    noise = f"noise band x{band[0]:.2f} to x{band[1]:.2f}" if band else "no noise band"
    table = Table(box=box.SIMPLE, title=metric, caption=f"ratios to {reference}, {noise}; {METHOD}")
    for column in ("side", "point", metric, "ratio"):
        table.add_column(column, justify="left" if column in ("side", "point") else "right")
    for point in points_of(result):
        for side in result.definition["sides"]:
            found = side_estimate(result, side, point, metric)
            if found:
                own = "" if side == reference else _ratio(ratio(result, side, point, metric), band)
                table.add_row(side, point_words(point), interval(found), own)
    return table


def _goodput(result: Result) -> Table:
    assert result.goodput
    ratio, caption = result.goodput.ratio, result.goodput.method
    if ratio:
        caption = f"goodput_ratio_vs_chunked {ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f}); {caption}"
    table = Table(box=box.SIMPLE, title="requests/s within the limits", caption=caption)
    for column in ("limits", "share", "side", "requests/s"):
        table.add_column(column, justify="right" if column == "requests/s" else "left")
    for row in result.goodput.rows:
        limits = f"TTFT {row.ttft_ms:g} ms, TPOT {row.tpot_ms:g} ms"
        value = interval(Estimate(row.value, row.low, row.high))
        table.add_row(limits, f"{row.share:.0%}", row.side, f"at least {value}" if row.reached_top else value)
    return table


def point_words(point: Point) -> str:
    """The point in a few words."""
    return ", ".join(
        f"{name} {value if isinstance(value, str) else format(value, 'g')}" for name, value in point.items()
    )


def interval(found: Estimate) -> str:
    """The value with its interval, each with three digits."""
    if found.low == found.high:
        return short(found.value)
    return f"{short(found.value)} ({short(found.low)}-{short(found.high)})"


def short(value: float) -> str:
    """Three digits: what a measurement is worth."""
    if value and abs(value) < 0.1:
        return f"{value:.2g}"
    decimals = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{decimals}f}"


def _ratio(found: Estimate | None, band: tuple[float, float] | None) -> str:
    if found is None:
        return ""
    inside = band is not None and band[0] <= found.value <= band[1]
    return f"x{found.value:.2f}{' (noise)' if inside else ''}"
