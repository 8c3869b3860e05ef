"""Owns how reports look in a terminal. Imports rich, so it is imported only where something is shown."""

from collections.abc import Iterator, Sequence
from statistics import median

from rich import box
from rich.table import Table

from splitwiser.bench.records import RequestRecord
from splitwiser.bench.report import Distribution, LoadReport
from splitwiser.bench.statistics import Estimate

SERVER_ROWS = {"queue_ms": "router queue", "prefill_queue_ms": "prefill queue", "grant_to_first_step_ms": "hand-off"}


def report_table(report: LoadReport) -> Table:
    """Quantiles with their intervals, one row a latency."""
    title = f"{report.workload}: {report.completed} of {report.requests} requests in {report.duration_s:.1f} s"
    table = Table("ms", title=title, caption=_caption(report), box=box.SIMPLE)
    for column in ("mean", "p50", "p90", "p99", "max"):
        table.add_column(column, justify="right")
    for name, values in _rows(report):
        quantiles = (_interval(estimate) for estimate in (values.p50, values.p90, values.p99))
        table.add_row(name, _short(values.mean), *quantiles, _short(values.max))
    return table


def requests_table(records: Sequence[RequestRecord]) -> Table:
    """One row a request: its lengths, TTFT, median ITL, hand-off, queues together, and the whole; and its end."""
    names = ("#", "prompt", "output", "TTFT", "ITL p50", "hand-off", "queue", "total", "end")
    table = Table(*names, title="tokens and milliseconds", box=box.SIMPLE)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for r in records:
        itl_s = median(r.itl_s) if r.itl_s else None
        handoff_ms = r.server_ms.get("grant_to_first_step_ms", 0.0)
        queue_ms = r.server_ms.get("queue_ms", 0.0) + r.server_ms.get("prefill_queue_ms", 0.0)
        latencies = (_ms(r.ttft_s), _ms(itl_s), _short(handoff_ms), _short(queue_ms), _ms(r.e2e_s))
        table.add_row(str(r.index), str(r.prompt_tokens), str(r.output_tokens), *latencies, r.outcome.reason)
    return table


def _rows(report: LoadReport) -> Iterator[tuple[str, Distribution]]:
    client = {"TTFT": report.ttft_ms, "ITL": report.itl_ms, "TPOT": report.tpot_ms, "end to end": report.e2e_ms}
    server = {label: report.server_ms.get(name) for name, label in SERVER_ROWS.items()}
    for name, values in (client | server | {"sent late": report.lateness_ms}).items():
        if values is not None:
            yield name, values


def _caption(report: LoadReport) -> str:
    goodput, limits = report.goodput, report.goodput.limits
    lines = [
        f"{report.output_tokens_per_s:.0f} output tokens/s, {report.request_rate_per_s:.2f} requests/s",
        f"within TTFT {limits.ttft_ms:g} ms and TPOT {limits.tpot_ms:g} ms: {goodput.share.value:.1%} "
        f"({goodput.share.low:.1%}-{goodput.share.high:.1%}), {goodput.requests_per_s.value:.2f} requests/s",
    ]
    failed = {name: count for name, count in report.outcomes.items() if not name.startswith("OK ")}
    if failed:
        lines.append("not completed: " + ", ".join(f"{count} {name}" for name, count in failed.items()))
    if report.late_share > 0.01:
        lines.append(
            f"{report.late_share:.0%} of the requests were sent over 10 ms late: the load generator was too slow"
        )
    return "\n".join(lines)


def _interval(estimate: Estimate) -> str:
    return f"{_short(estimate.value)} ({_short(estimate.low)}-{_short(estimate.high)})"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else _short(seconds * 1e3)


def _short(value: float) -> str:
    """Three digits: what a measurement is worth, and what a terminal has room for."""
    decimals = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{decimals}f}"
