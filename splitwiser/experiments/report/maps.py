"""Owns the SM-share map: what a side gives at each pair of labels (x, y), such as cap and priority."""

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from splitwiser.experiments.estimates import points_of, side_estimate
from splitwiser.experiments.report.style import dressed, unit
from splitwiser.experiments.result import Result

SHOWN = {"mix": ("itl_p50_ms", "itl_p99_ms", "prefill_tokens_per_s"), "replay": ("tpot_p99_ms", "ttft_p99_ms")}


def share_map(result: Result) -> Any | None:
    """At the last point of the plan. None unless sides have labels x and y."""
    sides = {name: side["labels"] for name, side in result.definition["sides"].items() if side["labels"]}
    metrics = SHOWN.get(result.definition["plan"]["kind"], ())
    points = points_of(result)
    if not (sides and metrics and points):
        return None
    xs = list(dict.fromkeys(labels["x"] for labels in sides.values()))
    ys = list(dict.fromkeys(labels["y"] for labels in sides.values()))
    figure = make_subplots(rows=1, cols=len(metrics), shared_yaxes=True, subplot_titles=[unit(m) for m in metrics])
    for column, metric in enumerate(metrics, 1):
        cells = {}
        for name, labels in sides.items():
            found = side_estimate(result, name, points[-1], metric)
            cells[labels["x"], labels["y"]] = found.value if found else None
        z = [[cells.get((x, y)) for x in xs] for y in ys]
        better_is_less = metric.endswith("_ms")
        heat = go.Heatmap(
            x=xs,
            y=ys,
            z=z,
            text=[
                ["" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.1f}" for value in row]
                for row in z
            ],
            texttemplate="%{text}",
            colorscale="Blues_r" if better_is_less else "Blues",
            showscale=False,
            hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
        )
        figure.add_trace(heat, row=1, col=column)
        figure.update_xaxes(type="category", row=1, col=column)
    return dressed(figure, "What each share of the GPU gives (darker is better)", height=190 + 60 * len(ys))
