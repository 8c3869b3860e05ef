"""Owns the hand-off measured: time and bytes against the tokens whose KV changes hands, one request at a time."""

from splitwiser.bench.statistics import quantile
from splitwiser.bench.verify.handoff import BYTES_COPIED, PAGES, decode_counters
from splitwiser.errors import ConfigurationError
from splitwiser.experiments.definition import HandoffPlan, Point
from splitwiser.experiments.load import Sender, equal_requests, latencies, require_answers
from splitwiser.experiments.measure.base import Measure, Measured
from splitwiser.experiments.sides.target import Target

PARTS = ("grant_ms", "claim_ms", "grant_to_first_step_ms")


class Handoff(Measure):
    """As the side tells each part; the bytes that were copied are counted by decode, on a stack of one's own."""

    def __init__(self, plan: HandoffPlan) -> None:
        self._plan = plan

    def check(self, target: Target) -> None:
        """An unsplit engine hands nothing over."""
        if target.settings is not None and target.stack is None:
            raise ConfigurationError(
                "is not split, so it has no hand-off", field=f"sides.{target.name}", help="give it stack: split"
            )

    async def run(self, target: Target, point: Point, seed: int) -> Measured:
        plan, before = self._plan, await _counters(target)
        sender = Sender(target)
        # The first request of a length compiles, or touches memory, for the first time.
        warm = equal_requests(plan.requests + 1, int(point["prompt_tokens"]), plan.output_tokens, seed)
        records = [await sender.one(each) for each in warm][1:]
        require_answers(records, target)
        after = await _counters(target)
        told = [record.server_ms for record in records if record.server_ms]
        metrics = {
            f"{part[:-3]}_{q}_ms": quantile(sorted(each[part] for each in told), at)
            for part in PARTS
            for q, at in (("p50", 0.5), ("p99", 0.99))
            if told
        }
        counted = {name: (after[name] - before[name]) / len(warm) for name in after}
        return Measured(metrics | latencies(records) | counted)

    def gives_up(self, measured: Measured) -> bool:
        return False


async def _counters(target: Target) -> dict[str, float]:
    """Pages handed over and bytes copied so far; nothing where they cannot be asked."""
    if target.run_dir is None:
        return {}
    found = await decode_counters(target.run_dir)
    return {"handed_over_pages": found[PAGES], "copied_bytes": found[BYTES_COPIED]}
