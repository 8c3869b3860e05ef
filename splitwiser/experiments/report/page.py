"""Owns the report's page: one file with everything in it, plotly's script too."""

import json
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path

from splitwiser.experiments.report.figures import figures
from splitwiser.experiments.report.tables import metric_tables
from splitwiser.experiments.result import Result, write_whole

FILE = "report.html"
CONFIG = {"displayModeBar": False, "responsive": True}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222; }
h1 { font-size: 1.6em; margin-bottom: 0; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2em .8em; border-bottom: 1px solid #e5e5e5; text-align: left; }
td.n, th.n { text-align: right; } .soft { color: #777; } .noise { color: #999; }
.note { background: #fff6e0; padding: .5em 1em; border-left: 3px solid #e69f00; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5em; } .pair figure { min-width: 0; }
pre { background: #f6f6f6; padding: 1em; overflow: auto; } figure { margin: 1.5em 0; }
"""


def write_report(result: Result, folder: Path, name: str = FILE) -> Path:
    """Write FOLDER/NAME and return its path. Strings of the result reach it as text, never as markup."""
    parts = [*_head(result), *_sides(result), *_figures(result), *metric_tables(result), *_foot(result)]
    body = "\n".join(parts)
    title = escape(f"{result.experiment} - Splitwiser")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
    return write_whole(folder / name, page)


def _head(result: Result) -> Iterator[str]:
    definition = result.definition
    yield f"<h1>{escape(str(definition['title']))}</h1>"
    gpu = result.machine.gpu
    where = f"{gpu['name']}, driver {gpu['driver']}" if gpu else f"no GPU, {result.machine.cpus} CPUs"
    yield f'<p class="soft">{escape(result.experiment)} · {escape(where)} · {escape(result.started)}</p>'
    yield f"<p>{escape(str(definition['question']))}</p>"
    notes = list(result.notes)
    if result.quick:
        notes.append("The quick form: it shows that everything works, its figures say nothing about a GPU.")
    if not result.complete:
        notes.append(f"Not complete: {len(result.samples)} measurements so far.")
    yield from (f'<p class="note">{escape(note)}</p>' for note in notes)
    found = result.goodput
    if found and found.ratio and found.split and found.chunked:
        best = [
            f"{escape(each.side)} {'at least ' * each.reached_top}{each.value:.2f}"
            for each in (found.split, found.chunked)
        ]
        ratio = found.ratio
        yield (
            f"<p><b>goodput_ratio_vs_chunked {ratio.value:.2f}</b> ({ratio.low:.2f} to {ratio.high:.2f}): "
            f"{best[0]} requests/s over {best[1]}</p>"
        )


def _sides(result: Result) -> Iterator[str]:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(side['note'] or side['stack'])}</td></tr>"
        for name, side in result.definition["sides"].items()
    )
    yield f"<h2>Sides</h2><table>{rows}</table>"


def _figures(result: Result) -> Iterator[str]:
    """The first one brings the script. Those of single metrics stand two in a row."""
    script: bool | str = True
    drawn = list(figures(result))
    for is_small, group in groupby(drawn, key=lambda each: each[0].startswith("metric-")):
        yield '<div class="pair">' if is_small else "<div>"
        for name, figure in group:
            html = figure.to_html(full_html=False, include_plotlyjs=script, config=CONFIG)
            yield f'<figure id="{escape(name)}">{html}</figure>'
            script = False
        yield "</div>"
    if not drawn:
        yield '<p class="note">Nothing was measured, so there is nothing to draw.</p>'


def _foot(result: Result) -> Iterator[str]:
    yield "<h2>How it was measured</h2>"
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield f"<p><code>{escape(result.command)}</code></p><p class='soft'>{escape(versions)}</p>"
    whole = escape(json.dumps(result.definition, indent=2))
    yield f"<details><summary>The whole definition</summary><pre>{whole}</pre></details>"
