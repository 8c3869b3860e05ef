"""Owns the frontier: throughput against what a user waits for, a line a side, one mark a point of the plan."""

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from splitwiser.experiments.estimates import noise_band, points_of, side_estimate
from splitwiser.experiments.report.style import colours, dressed, see_through, unit
from splitwiser.experiments.result import Result
from splitwiser.experiments.table import point_words

AXES = {
    "replay": ("output_tokens_per_s", ("itl_p99_ms", "ttft_p99_ms")),
    "mix": ("prefill_tokens_per_s", ("itl_p50_ms", "itl_p99_ms")),
    "burst": ("output_tokens_per_s", ("itl_p50_ms", "ttft_p50_ms")),
}


def frontier(result: Result) -> Any | None:
    """None for kinds without one, and unless points differ in one thing."""
    axes = AXES.get(result.definition["plan"]["kind"])
    points = points_of(result)
    # A line through points that differ in two ways would join what has no order.
    varied = [name for name in (points[0] if points else {}) if len({str(point[name]) for point in points}) > 1]
    if axes is None or len(varied) != 1:
        return None
    throughput, waits = axes
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    for column, wait in enumerate(waits, 1):
        _band(figure, column, result, wait, throughput)
        for side, colour in colours(result).items():
            _side(figure, column, result, side, colour, wait, throughput)
        figure.update_xaxes(title_text=unit(wait), row=1, col=column)
    if not figure.data:
        return None
    figure.update_yaxes(title_text=unit(throughput), rangemode="tozero", row=1, col=1)
    return dressed(figure, "Frontier: up and to the left is better", height=460)


def _side(figure: Any, column: int, result: Result, side: str, colour: str, wait: str, throughput: str) -> None:
    found = _marks(result, side, wait, throughput)
    if found:
        line = go.Scatter(
            x=[x for x, _, _ in found],
            y=[y for _, y, _ in found],
            text=[words for _, _, words in found],
            mode="lines+markers",
            line={"color": colour},
            name=side,
            legendgroup=side,
            showlegend=column == 1,
            hovertemplate="%{text}<br>%{x:.1f} ms, %{y:.0f}/s<extra>" + side + "</extra>",
        )
        figure.add_trace(line, row=1, col=column)


def _band(figure: Any, column: int, result: Result, wait: str, throughput: str) -> None:
    """How far the reference lies from itself, along the wait."""
    reference = str(result.definition["reference"])
    band, found = noise_band(result, wait), _marks(result, reference, wait, throughput)
    if band and found:
        x = [x * band[0] for x, _, _ in found] + [x * band[1] for x, _, _ in reversed(found)]
        y = [y for _, y, _ in found] + [y for _, y, _ in reversed(found)]
        area = go.Scatter(
            x=x,
            y=y,
            fill="toself",
            fillcolor=see_through(colours(result)[reference], 0.18),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            name="noise band",
            legendgroup="noise",
            showlegend=column == 1,
        )
        figure.add_trace(area, row=1, col=column)


def _marks(result: Result, side: str, wait: str, throughput: str) -> list[tuple[float, float, str]]:
    marks = []
    for point in points_of(result):
        x, y = (side_estimate(result, side, point, metric) for metric in (wait, throughput))
        if x and y:
            marks.append((x.value, y.value, point_words(point)))
    return marks
