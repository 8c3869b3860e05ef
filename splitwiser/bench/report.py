"""Owns the report of a load run: what was asked, what came of it, how fast, and how sure that is."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from splitwiser.bench.records import RequestRecord
from splitwiser.bench.statistics import Estimate, bootstrap_quantile, clustered_quantile, proportion
from splitwiser.bench.versions import versions
from splitwiser.bench.workload import Workload

SCHEMA = "splitwiser.load/1"
# Beyond this a late request is the generator's fault and no longer the workload's arrival.
LATE_S = 0.010


@dataclass(frozen=True, slots=True)
class Distribution:
    """Durations in milliseconds. count is the number of values; each quantile has its 95 % interval."""

    count: int
    mean: float
    p50: Estimate
    p90: Estimate
    p99: Estimate
    max: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request must keep to count as good."""

    ttft_ms: float = 1000.0
    tpot_ms: float = 100.0


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that completed within both limits, as a share of all sent and as a rate over the run."""

    limits: Limits
    share: Estimate
    requests_per_s: Estimate


@dataclass(frozen=True, slots=True)
class LoadReport:
    """One run. A latency is None when no request had it. server_ms: phases as the server measured them."""

    workload: str
    target: str
    requests: int
    completed: int
    outcomes: dict[str, int]
    duration_s: float
    planned_rate_per_s: float
    request_rate_per_s: float
    prompt_tokens: int
    output_tokens: int
    messages: int
    output_tokens_per_s: float
    ttft_ms: Distribution | None
    itl_ms: Distribution | None
    tpot_ms: Distribution | None
    e2e_ms: Distribution | None
    server_ms: dict[str, Distribution]
    goodput: Goodput
    lateness_ms: Distribution | None
    late_share: float
    versions: dict[str, str] = field(default_factory=versions)
    schema: str = SCHEMA

    def to_json(self) -> str:
        """One JSON object on one line."""
        return json.dumps(asdict(self))


def summarise(
    workload: Workload, records: Sequence[RequestRecord], *, target: str = "", limits: Limits | None = None
) -> LoadReport:
    """The report of a run. Latencies are those of completed requests; goodput and lateness count all that were sent."""
    done = [record for record in records if record.completed]
    duration_s = max((r.finished_s for r in records), default=0.0) - min((r.sent_s for r in records), default=0.0)
    output_tokens = sum(record.output_tokens for record in done)
    return LoadReport(
        workload=workload.name,
        target=target,
        requests=len(records),
        completed=len(done),
        outcomes=dict(Counter(f"{r.outcome.status} {r.outcome.reason}" for r in records)),
        duration_s=duration_s,
        planned_rate_per_s=workload.rate_per_s,
        request_rate_per_s=_rate(len(done), duration_s),
        prompt_tokens=sum(record.prompt_tokens for record in done),
        output_tokens=output_tokens,
        messages=sum(len(record.arrived) for record in done),
        output_tokens_per_s=_rate(output_tokens, duration_s),
        ttft_ms=distribution(_ms(record.ttft_s for record in done)),
        itl_ms=_clustered([_ms(record.itl_s) for record in done]),
        tpot_ms=distribution(_ms(record.tpot_s for record in done)),
        e2e_ms=distribution(_ms(record.e2e_s for record in done)),
        server_ms=_server(done),
        goodput=_goodput(records, limits or Limits(), duration_s),
        lateness_ms=distribution(_ms(record.lateness_s for record in records)),
        late_share=_rate(sum(record.lateness_s > LATE_S for record in records), len(records)),
    )


def distribution(values: Iterable[float]) -> Distribution | None:
    """Of independent values, in whatever unit; None for none."""
    ordered = sorted(values)
    if not ordered:
        return None
    p50, p90, p99 = (bootstrap_quantile(ordered, probability) for probability in (0.5, 0.9, 0.99))
    return Distribution(len(ordered), sum(ordered) / len(ordered), p50, p90, p99, ordered[-1])


def _clustered(clusters: Sequence[Sequence[float]]) -> Distribution | None:
    values = [value for cluster in clusters for value in cluster]
    if not values:
        return None
    p50, p90, p99 = (clustered_quantile(clusters, probability) for probability in (0.5, 0.9, 0.99))
    return Distribution(len(values), sum(values) / len(values), p50, p90, p99, max(values))


def _server(done: Sequence[RequestRecord]) -> dict[str, Distribution]:
    names = {name: None for record in done for name in record.server_ms}
    found = {name: distribution(r.server_ms[name] for r in done if name in r.server_ms) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _goodput(records: Sequence[RequestRecord], limits: Limits, duration_s: float) -> Goodput:
    good = sum(record.meets(limits.ttft_ms / 1e3, limits.tpot_ms / 1e3) for record in records)
    share = proportion(good, len(records))
    sent_per_s = _rate(len(records), duration_s)
    return Goodput(limits, share, Estimate(share.value * sent_per_s, share.low * sent_per_s, share.high * sent_per_s))


def _ms(seconds: Iterable[float | None]) -> list[float]:
    return [value * 1e3 for value in seconds if value is not None]


def _rate(amount: float, over: float) -> float:
    return amount / over if over else 0.0
