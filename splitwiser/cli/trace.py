"""Owns `splitwiser trace`: one request's spans as a tree with durations."""

import json as json_module
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from splitwiser.errors import InvalidRequest
from splitwiser.telemetry.perfetto import write_perfetto
from splitwiser.telemetry.requests import TraceNode, trace_tree
from splitwiser.telemetry.timeline import read_timeline


def show_trace(run_dir: Path, request_id: str, *, perfetto: Path | None, json: bool) -> None:
    """Print the tree, or one JSON object. Raises InvalidRequest when no span has this id."""
    records = list(read_timeline(run_dir))
    nodes = trace_tree(records, request_id)
    if not nodes:
        raise InvalidRequest(
            f"no request {request_id} in the timeline of {run_dir}",
            help="check the id and --run-dir; spans appear up to a second after the request's end",
        )
    if perfetto:
        write_perfetto(records, perfetto)
    if json:
        fields = {"request_id": request_id, "spans": [asdict(node) for node in nodes]}
        print(json_module.dumps(fields, default=str))
        return
    Console().print(draw(request_id, nodes))
    if perfetto:
        print(f"wrote {perfetto}; open it at https://ui.perfetto.dev")


def draw(request_id: str, nodes: Sequence[TraceNode]) -> Tree:
    """The spans as a tree; nodes come parents first, as trace_tree gives them."""
    root = Tree(Text(f"request {request_id}"))
    branches = [root]
    for node in nodes:
        del branches[node.depth + 1 :]
        branches.append(branches[-1].add(_line(node)))
    return root


def _line(node: TraceNode) -> Text:
    return Text.assemble(
        (node.name, "bold"),
        (f"  {node.duration_ms:.2f} ms", "green"),
        (f"  at {node.start_ms:.2f} ms  {node.instance}", "dim"),
    )
