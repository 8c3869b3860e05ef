"""Owns the pictures of goodput: each side's highest rate as bars, and the share of good requests against the rate."""

from typing import Any

import plotly.graph_objects as go

from splitwiser.bench.statistics import Estimate
from splitwiser.experiments.estimates import points_of, side_estimate
from splitwiser.experiments.report.style import colours, dressed, intervals
from splitwiser.experiments.result import Result


def goodput_bars(result: Result) -> Any | None:
    """A group of bars for each pair of limits and share."""
    if not result.goodput:
        return None
    figure = go.Figure()
    for side, colour in colours(result).items():
        rows = [row for row in result.goodput.rows if row.side == side]
        words = [f"{row.share:.0%} in TTFT {row.ttft_ms:g}<br>TPOT {row.tpot_ms:g} ms" for row in rows]
        error = intervals([Estimate(row.value, row.low, row.high) for row in rows])
        values = [row.value for row in rows]
        figure.add_trace(go.Bar(x=words, y=values, error_y=error, name=side, marker={"color": colour}))
    figure.update_yaxes(title_text="requests/s")
    return dressed(figure, "Goodput: the highest rate within the limits", height=460)


def good_shares(result: Result) -> Any | None:
    """At the goal's limits."""
    goal = result.definition["plan"].get("goal")
    if not goal:
        return None
    metric = f"good_share TTFT {goal['ttft_ms']:g} ms, TPOT {goal['tpot_ms']:g} ms"
    figure = go.Figure()
    for side, colour in colours(result).items():
        found = [(p["rate_per_s"], e) for p in points_of(result) if (e := side_estimate(result, side, p, metric))]
        x, y = [at for at, _ in found], [100 * each.value for _, each in found]
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", name=side, line={"color": colour}))
    figure.add_hline(y=100 * goal["share"], line={"dash": "dot", "color": "#444444"})
    figure.update_xaxes(title_text="requests/s sent")
    figure.update_yaxes(title_text="% of requests within", range=[0, 103])
    title = f"Requests within TTFT {goal['ttft_ms']:g} ms and TPOT {goal['tpot_ms']:g} ms"
    return dressed(figure, title)
