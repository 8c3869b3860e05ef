"""Owns which pictures a result has, and in which order."""

from collections.abc import Iterator
from typing import Any

from splitwiser.experiments.headline import metrics_shown
from splitwiser.experiments.report.curves import pages, recovery
from splitwiser.experiments.report.frontier import frontier
from splitwiser.experiments.report.goodput import good_shares, goodput_bars
from splitwiser.experiments.report.lines import lines
from splitwiser.experiments.report.maps import share_map
from splitwiser.experiments.report.phases import phases
from splitwiser.experiments.report.timeline import timeline
from splitwiser.experiments.result import Result


def figures(result: Result) -> Iterator[tuple[str, Any]]:
    """Name and plotly figure. A picture without data is left out."""
    first = {
        "goodput": goodput_bars,
        "good-shares": good_shares,
        "share-map": share_map,
        "frontier": frontier,
        "recovery": recovery,
        "phases": phases,
    }
    last = {"timeline": timeline, "pages": pages}
    for name, draw in first.items():
        if (figure := draw(result)) is not None:
            yield name, figure
    for metric in metrics_shown(result):
        if (figure := lines(result, metric)) is not None:
            yield f"metric-{metric}", figure
    for name, draw in last.items():
        if (figure := draw(result)) is not None:
            yield name, figure
