"""Owns the pictures of values over time: recovery after a fault, and pages in use."""

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from splitwiser.experiments.report.style import PHASES, colours, dressed
from splitwiser.experiments.result import Result, Sample
from splitwiser.experiments.table import point_words

PAGES = "pages "


def recovery(result: Result) -> Any | None:
    """Requests that end in each tenth of a second, by fault, around the moment of the fault."""
    samples = [s for s in result.samples if s.stage == "compare" and "answered" in s.series]
    faults = list(dict.fromkeys(str(sample.point["fault"]) for sample in samples))
    if not faults:
        return None
    figure = make_subplots(rows=len(faults), cols=1, shared_xaxes=True, vertical_spacing=0.1, subplot_titles=faults)
    paint, named = colours(result), set[str]()
    for sample in samples:
        row, side = faults.index(str(sample.point["fault"])) + 1, sample.side
        for name, dash in (("answered", "solid"), ("failed", "dot")):
            label = side if name == "answered" else f"{side}, failed"
            line = go.Scatter(
                x=[(at / 1e3 - sample.metrics["fault_s"]) for at, _ in sample.series[name]],
                y=[value for _, value in sample.series[name]],
                mode="lines",
                line={"shape": "hv", "dash": dash, "color": paint[side] if name == "answered" else "#b2182b"},
                name=label,
                legendgroup=label,
                showlegend=label not in named,
            )
            named.add(label)
            figure.add_trace(line, row=row, col=1)
        figure.add_vline(x=0, line={"color": "#b2182b", "dash": "dash"}, row=row, col=1)
    figure.update_xaxes(title_text="seconds after the fault", row=len(faults), col=1)
    figure.update_yaxes(title_text="requests in 0.1 s")
    return dressed(figure, "Recovery: requests that end, around the fault", height=170 + 200 * len(faults))


def pages(result: Result) -> Any | None:
    """Of one sample of each side that counts them: the last point of the first round."""
    chosen: dict[str, Sample] = {}
    for sample in result.samples:
        if any(name.startswith(PAGES) for name in sample.series):
            chosen[sample.side] = sample
    if not chosen:
        return None
    figure = make_subplots(
        rows=len(chosen),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.25 / len(chosen),
        subplot_titles=[f"{side}: {point_words(sample.point)}" for side, sample in chosen.items()],
    )
    for row, sample in enumerate(chosen.values(), 1):
        own = [(name, curve) for name, curve in sample.series.items() if name.startswith(PAGES)]
        for name, curve in own:
            line = go.Scatter(
                x=[at / 1e3 for at, _ in curve],
                y=[value for _, value in curve],
                mode="lines",
                line={"shape": "hv", "color": PHASES[_phase_of(name)]},
                name=name.removeprefix(PAGES),
                legendgroup=name,
            )
            figure.add_trace(line, row=row, col=1)
    figure.update_xaxes(title_text="seconds", row=len(chosen), col=1)
    figure.update_yaxes(rangemode="tozero", title_text="pages")
    seen: set[str] = set()
    for trace in figure.data:
        trace.showlegend = trace.name not in seen
        seen.add(trace.name)
    return dressed(figure, "Pages in use", height=170 + 170 * len(chosen))


def _phase_of(name: str) -> str:
    """Of the engine in a series' name; a whole one does both."""
    return next((phase for phase in PHASES if phase in name), "mixed")
