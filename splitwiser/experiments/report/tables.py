"""Owns the report's tables of figures: the terminal's, as HTML."""

from collections.abc import Iterator
from html import escape

from splitwiser.experiments.estimates import METHOD, noise_band, points_of, ratio, side_estimate
from splitwiser.experiments.headline import metrics_shown
from splitwiser.experiments.report.style import unit
from splitwiser.experiments.result import Result
from splitwiser.experiments.table import interval, point_words


def metric_tables(result: Result) -> Iterator[str]:
    """One a metric that the kind is about."""
    reference = str(result.definition["reference"])
    if metrics_shown(result):
        yield f"<h2>Figures</h2><p class='soft'>Ratios to {escape(reference)}. {escape(METHOD)}.</p>"
    for metric in metrics_shown(result):
        band = noise_band(result, metric)
        noise = f"A/A noise: x{band[0]:.2f} to x{band[1]:.2f}" if band else "no A/A figure"
        rows = "".join(_rows(result, metric, reference, band))
        head = f"<tr><th>side</th><th>point</th><th class='n'>{escape(unit(metric))}</th><th class='n'>ratio</th></tr>"
        yield f"<details><summary>{escape(unit(metric))} <span class='soft'>{noise}</span></summary>"
        yield f"<table>{head}{rows}</table></details>"


def _rows(result: Result, metric: str, reference: str, band: tuple[float, float] | None) -> Iterator[str]:
    for point in points_of(result):
        for side in result.definition["sides"]:
            found = side_estimate(result, side, point, metric)
            if found is None:
                continue
            own = None if side == reference else ratio(result, side, point, metric)
            inside = own is not None and band is not None and band[0] <= own.value <= band[1]
            words = "" if own is None else f"x{interval(own)}"
            cells = f"<td>{escape(side)}</td><td>{escape(point_words(point))}</td><td class='n'>{interval(found)}</td>"
            yield f"<tr>{cells}<td class='n{' noise' if inside else ''}'>{words}</td></tr>"
