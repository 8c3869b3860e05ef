"""Owns how pictures look: one colour a side in all of them, plain axes, light."""

from collections.abc import Sequence
from typing import Any

from splitwiser.bench.statistics import Estimate
from splitwiser.experiments.result import Result

# Okabe and Ito's, told apart by most eyes; the reference is grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a4fb5", "#8c6d31", "#b2182b", "#1b7837")
REFERENCE = "#6b6b6b"
PHASES = {"prefill": "#e69f00", "decode": "#0072b2", "mixed": "#8e6bbf"}
GRID = "#e8e8e8"


def colours(result: Result) -> dict[str, str]:
    """By side."""
    reference = str(result.definition["reference"])
    others = [side for side in result.definition["sides"] if side != reference]
    return {reference: REFERENCE} | {side: COLOURS[place % len(COLOURS)] for place, side in enumerate(others)}


def see_through(colour: str, alpha: float) -> str:
    """The colour as rgba."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def dressed(figure: Any, title: str, *, height: int = 420) -> Any:
    """The same figure in the report's clothes."""
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 16}},
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 13},
        height=height,
        margin={"l": 70, "r": 20, "t": 70, "b": 60},
        legend={"orientation": "h", "y": -0.18, "yanchor": "top"},
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    return figure


def unit(metric: str) -> str:
    """A metric as an axis has it."""
    for ending, words in (("_per_s", "/s"), ("_ms", " (ms)"), ("_s", " (s)")):
        if metric.endswith(ending):
            metric = metric.removesuffix(ending) + words
            break
    for short in ("itl", "ttft", "tpot"):
        metric = metric.replace(short, short.upper())
    return metric.replace("_", " ")


def intervals(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """Error bars; none where there was one repeat, which has no interval."""
    return {
        "type": "data",
        "symmetric": False,
        "visible": any(each.low < each.high for each in estimates),
        "array": [each.high - each.value for each in estimates],
        "arrayminus": [each.value - each.low for each in estimates],
        "thickness": 1,
    }
