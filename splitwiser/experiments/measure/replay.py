"""Owns the replay: open-loop load of a trace at one rate, and which of its requests were good."""

from functools import cached_property
from pathlib import Path

from splitwiser.bench.generated import generate
from splitwiser.bench.trace_csv import read_trace
from splitwiser.bench.workload import Workload
from splitwiser.errors import ConfigurationError
from splitwiser.experiments.definition import Limit, Point, ReplayPlan
from splitwiser.experiments.load import Sender, latencies
from splitwiser.experiments.measure.base import Measure, Measured
from splitwiser.experiments.result import Request
from splitwiser.experiments.sides.target import Target


class Replay(Measure):
    """Requests of the window's length at the point's rate."""

    def __init__(self, plan: ReplayPlan) -> None:
        self._plan = plan

    def check(self, target: Target) -> None:
        """Any target will do."""

    async def run(self, target: Target, point: Point, seed: int) -> Measured:
        rate = float(point["rate_per_s"])
        workload = self.workload(rate, seed, target.model.max_tokens)
        records = await Sender(target).open_loop(workload)
        requests = [
            Request(
                sent_s=round(record.sent_s, 3),
                ttft_ms=None if record.ttft_s is None else round(record.ttft_s * 1e3, 2),
                tpot_ms=None if record.tpot_s is None else round(record.tpot_s * 1e3, 3),
                completed=record.completed,
            )
            for record in records
        ]
        duration_s = max(record.finished_s for record in records)
        done = [record for record in records if record.completed]
        metrics = {
            **latencies(records),
            "output_tokens_per_s": sum(record.output_tokens for record in done) / duration_s,
            "completed_share": len(done) / len(records),
            "late_share": sum(record.lateness_s > 0.01 for record in records) / len(records),
            **{f"good_share {limit}": good_share(requests, limit) for limit in self._limits},
        }
        return Measured(metrics, requests)

    def gives_up(self, measured: Measured) -> bool:
        return all(good_share(measured.requests, limit) < self._plan.give_up_below for limit in self._limits)

    def workload(self, rate_per_s: float, seed: int, model_max_tokens: int) -> Workload:
        """As many requests as come in the window at this rate. Raises ConfigurationError if a trace has too few."""
        plan, count = self._plan, _requests_at(rate_per_s, self._plan)
        if plan.trace:
            workload = _piece(self._trace, _start_in(self._trace, seed), count).at_rate(rate_per_s)
        else:
            workload = generate(count, rate_per_s=rate_per_s, burstiness=plan.burstiness, seed=seed)
        return workload.scaled_lengths(plan.length).clipped(min(plan.max_tokens or model_max_tokens, model_max_tokens))

    @cached_property
    def _trace(self) -> Workload:
        return trace_of(self._plan)

    @property
    def _limits(self) -> tuple[Limit, ...]:
        goal = Limit(ttft_ms=self._plan.goal.ttft_ms, tpot_ms=self._plan.goal.tpot_ms)
        return (goal, *(limit for limit in self._plan.limits if limit != goal))


def good_share(requests: list[Request], limit: Limit) -> float:
    """Of all that were sent."""
    return sum(is_good(request, limit) for request in requests) / len(requests)


def is_good(request: Request, limit: Limit) -> bool:
    """Completed within both limits; a request of one token has no TPOT and meets any."""
    in_time = request.ttft_ms is not None and request.ttft_ms <= limit.ttft_ms
    return request.completed and in_time and (request.tpot_ms or 0.0) <= limit.tpot_ms


def _requests_at(rate_per_s: float, plan: ReplayPlan) -> int:
    """How many are sent."""
    return max(2, round(rate_per_s * plan.window_s))


def _start_in(trace: Workload, seed: int) -> int:
    """The place of the first request, in the trace's first half. By seed and trace alone: whatever other rates a plan
    has, the same requests are replayed."""
    return seed * 7919 % max(1, len(trace) // 2)


def trace_of(plan: ReplayPlan) -> Workload:
    """The plan's trace. Raises ConfigurationError, naming line and column, for one that cannot be replayed."""
    trace = read_trace(Path(plan.trace))
    if not trace.duration_s:
        raise ConfigurationError("has all requests at one time", field=plan.trace, help="give a trace with arrivals")
    _piece(trace, len(trace) // 2, _requests_at(max(plan.rates_per_s), plan))
    return trace


def _piece(trace: Workload, start: int, count: int) -> Workload:
    piece = trace.piece(start, count)
    if len(piece) < count:
        raise ConfigurationError(
            f"has {len(trace)} requests, {len(piece)} of them after the first {start}, and a rate needs {count}",
            field=trace.name,
            help="give a longer trace, or lower plan.rates_per_s or plan.window_s",
        )
    return piece
