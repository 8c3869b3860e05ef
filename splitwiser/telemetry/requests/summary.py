"""Owns the quantiles over all requests of a timeline."""

from collections.abc import Callable, Sequence
from typing import Final

from splitwiser.telemetry.requests.quantiles import Quantiles, quantiles
from splitwiser.telemetry.requests.rows import RequestRow

_PER_REQUEST: Final[dict[str, Callable[[RequestRow], float | None]]] = {
    "TTFT": lambda row: row.ttft_ms,
    "Queue": lambda row: row.queue_ms,
    "Prefill": lambda row: row.prefill_ms,
    "Hand-off": lambda row: row.handoff_ms,
    "Total": lambda row: row.total_ms,
}


def summary(rows: Sequence[RequestRow]) -> dict[str, Quantiles]:
    """Quantiles in ms by measure; one without a value is left out. ITL is over all tokens, the rest over requests."""
    measures = {
        name: quantiles(value for row in rows if (value := read(row)) is not None)
        for name, read in _PER_REQUEST.items()
    }
    measures["ITL"] = quantiles(gap_ms for row in rows for gap_ms in row.token_gaps_ms)
    order = ("TTFT", "ITL", "Hand-off", "Queue", "Prefill", "Total")
    return {name: found for name in order if (found := measures[name])}
