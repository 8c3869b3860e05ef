"""Owns what a timeline says of requests: one row each, the phases of one as a tree, and quantiles over all."""

from splitwiser.telemetry.requests.quantiles import Quantiles
from splitwiser.telemetry.requests.rows import UNFINISHED, Phase, RequestRow, request_rows
from splitwiser.telemetry.requests.summary import summary
from splitwiser.telemetry.requests.tree import TraceNode, trace_tree

__all__ = ["UNFINISHED", "Phase", "Quantiles", "RequestRow", "TraceNode", "request_rows", "summary", "trace_tree"]
