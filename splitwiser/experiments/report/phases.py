"""Owns the picture of the two phases' profile: what each takes of the GPU's arithmetic and of its memory."""

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from splitwiser.experiments.report.style import PHASES, dressed
from splitwiser.experiments.result import Result


def phases(result: Result) -> Any | None:
    """None where nothing could profile them."""
    if not result.profile:
        return None
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, subplot_titles=("SM throughput", "DRAM throughput"))
    for phase in dict.fromkeys(row.phase for row in result.profile):
        rows = [row for row in result.profile if row.phase == phase]
        words = [f"{row.prompt_tokens} tokens<br>batch {row.batch}" for row in rows]
        for column, values in enumerate(([r.sm_percent for r in rows], [r.dram_percent for r in rows]), 1):
            marker = {"color": PHASES[phase]}
            bars = go.Bar(x=words, y=values, name=phase, marker=marker, legendgroup=phase, showlegend=column == 1)
            figure.add_trace(bars, row=1, col=column)
    figure.update_yaxes(title_text="% of peak", range=[0, 100], row=1, col=1)
    return dressed(figure, f"What each phase takes of the GPU ({result.profile[0].by})")
