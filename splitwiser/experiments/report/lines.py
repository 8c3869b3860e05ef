"""Owns pictures of a metric against what was varied: each side a line with its intervals, the noise band behind."""

from typing import Any

import plotly.graph_objects as go

from splitwiser.experiments.definition import Point
from splitwiser.experiments.estimates import noise_band, points_of, side_estimate
from splitwiser.experiments.report.style import colours, dressed, intervals, see_through, unit
from splitwiser.experiments.result import Result
from splitwiser.experiments.table import point_words


def lines(result: Result, metric: str) -> Any | None:
    """Against the one thing that was varied; bars by point where it was several, or none."""
    points = points_of(result)
    varied = [name for name in points[0] if len({str(point[name]) for point in points}) > 1] if points else []
    numeric = len(varied) == 1 and all(isinstance(point[varied[0]], float | int) for point in points)
    figure = _lines(result, metric, points, varied[0]) if numeric else _bars(result, metric, points, varied)
    if not figure.data:
        return None
    dressed(figure, unit(metric), height=360)
    # Below the words of a bar, which may stand in several lines.
    return figure.update_layout(legend_y=-0.3 if numeric else -0.25 - 0.08 * len(varied))


def _lines(result: Result, metric: str, points: list[Point], varied: str) -> Any:
    figure, paint = go.Figure(), colours(result)
    band = noise_band(result, metric)
    for side, colour in paint.items():
        found = [(float(p[varied]), e) for p in points if (e := side_estimate(result, side, p, metric))]
        if not found:
            continue
        x, values = [at for at, _ in found], [each.value for _, each in found]
        if band and side == result.definition["reference"]:
            edge = [v * band[1] for v in values] + [v * band[0] for v in reversed(values)]
            figure.add_trace(
                go.Scatter(
                    x=x + x[::-1],
                    y=edge,
                    fill="toself",
                    fillcolor=see_through(colour, 0.15),
                    line={"width": 0},
                    hoverinfo="skip",
                    name="noise band",
                )
            )
        error = intervals([each for _, each in found])
        line = go.Scatter(x=x, y=values, error_y=error, mode="lines+markers", name=side, line={"color": colour})
        figure.add_trace(line)
    figure.update_xaxes(title_text=unit(varied))
    figure.update_yaxes(title_text=unit(metric), rangemode="tozero")
    return figure


def _bars(result: Result, metric: str, points: list[Point], varied: list[str]) -> Any:
    figure = go.Figure()
    for side, colour in colours(result).items():
        found = [(p, e) for p in points if (e := side_estimate(result, side, p, metric))]
        if found:
            words = ["<br>".join(_word(p[name]) for name in varied) or point_words(p) for p, _ in found]
            error = intervals([each for _, each in found])
            values = [each.value for _, each in found]
            figure.add_trace(go.Bar(x=words, y=values, error_y=error, name=side, marker={"color": colour}))
    figure.update_yaxes(title_text=unit(metric), rangemode="tozero")
    figure.update_xaxes(type="category", title_text=", ".join(unit(name) for name in varied), tickangle=0)
    figure.update_layout(bargap=0.4 if len(points) > 2 else 0.6)
    return figure


def _word(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
