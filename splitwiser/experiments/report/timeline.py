"""Owns the overlap timeline: engine steps of a split and an unsplit side on one time axis, the busy device beneath."""

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from splitwiser.experiments.report.style import PHASES, dressed
from splitwiser.experiments.result import Result, Sample, Step

SHOWN_MS = 1500.0
BUSY = ("SM activity %", "GPU any kernel %", "CPU busy %")


def timeline(result: Result) -> Any | None:
    """None when no side left steps."""
    shown = _shown(result)
    if not shown:
        return None
    heights = [part for _ in shown for part in (0.62, 0.38)]
    figure = make_subplots(
        rows=2 * len(shown),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.05,
        row_heights=heights,
        subplot_titles=[title for sample in shown for title in (sample.side, "")],
    )
    named: set[str] = set()
    for place, sample in enumerate(shown):
        start_ms, steps = _window(sample)
        _lanes(figure, 2 * place + 1, steps, start_ms, named)
        _busy(figure, 2 * place + 2, sample, start_ms)
    figure.update_xaxes(range=[0, _width_ms(shown)])
    figure.update_xaxes(title_text="ms", row=2 * len(shown), col=1)
    figure.update_layout(barmode="overlay", bargap=0.25)
    return dressed(figure, "Engine steps, and how busy the device was", height=190 + 230 * len(shown))


def _shown(result: Result) -> list[Sample]:
    """One sample of the reference and one of the first side of the other kind, at the last point that both have."""
    sides = result.definition["sides"]
    reference = str(result.definition["reference"])
    other = [name for name, side in sides.items() if side["stack"] != sides[reference]["stack"]]
    with_steps = [[s for s in result.of(name) if s.steps] for name in (reference, *other)]
    chosen = [samples for samples in with_steps if samples][:2]
    points = [sample.point for sample in chosen[0]] if chosen else []
    common = [point for point in points if all(any(s.point == point for s in each) for each in chosen)]
    return [next(s for s in samples if s.point == common[-1]) for samples in chosen] if common else []


def _window(sample: Sample) -> tuple[float, list[Step]]:
    """Steps of SHOWN_MS from where all phases are at work, and when that begins."""
    phases = {step.phase for step in sample.steps}
    begins = [min(step.start_ms for step in sample.steps if step.phase == phase) for phase in phases]
    start_ms = max(begins)
    return start_ms, [s for s in sample.steps if start_ms <= s.end_ms and s.start_ms < start_ms + SHOWN_MS]


def _width_ms(shown: list[Sample]) -> float:
    """What both need, and no more than is told apart on a screen."""
    ends = [steps[-1].end_ms - start_ms for start_ms, steps in map(_window, shown) if steps]
    return min(SHOWN_MS, 1.02 * max(ends, default=SHOWN_MS))


def _lanes(figure: Any, row: int, steps: list[Step], start_ms: float, named: set[str]) -> None:
    for phase in sorted({step.phase for step in steps}):
        own = [step for step in steps if step.phase == phase]
        bar = go.Bar(
            orientation="h",
            base=[step.start_ms - start_ms for step in own],
            x=[step.end_ms - step.start_ms for step in own],
            y=[step.instance for step in own],
            marker={"color": PHASES.get(phase, "#999999"), "line": {"width": 0.5, "color": "white"}},
            name=f"{phase} step",
            legendgroup=phase,
            showlegend=phase not in named,
            customdata=[(step.batch, step.tokens) for step in own],
            hovertemplate="%{x:.2f} ms, %{customdata[0]} requests, %{customdata[1]} tokens<extra>" + phase + "</extra>",
        )
        named.add(phase)
        figure.add_trace(bar, row=row, col=1)
    figure.update_yaxes(autorange="reversed", row=row, col=1)


def _busy(figure: Any, row: int, sample: Sample, start_ms: float) -> None:
    name = next((name for name in BUSY if name in sample.series), None)
    points = [(at - start_ms, value) for at, value in sample.series.get(name or "", [])]
    within = [(at, value) for at, value in points if -200 <= at <= SHOWN_MS + 200]
    line = go.Scatter(
        x=[at for at, _ in within],
        y=[value for _, value in within],
        mode="lines",
        line={"shape": "vh", "color": "#444444", "width": 1.2},
        fill="tozeroy",
        fillcolor="rgba(100,100,100,0.15)",
        showlegend=False,
        hovertemplate="%{y:.0f} %<extra></extra>",
    )
    figure.add_trace(line, row=row, col=1)
    figure.update_yaxes(range=[0, 105], title_text=(name or "").removesuffix(" %") + "<br>%", row=row, col=1)
