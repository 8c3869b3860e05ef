"""Owns the burst: equal requests, a batch of them in flight, as offline inference has them."""

import time

from splitwiser.experiments.definition import BurstPlan, Point
from splitwiser.experiments.load import Sender, equal_requests, latencies, phases, require_answers
from splitwiser.experiments.measure.base import Measure, Measured
from splitwiser.experiments.sides.target import Target


class Burst(Measure):
    """The time until all have ended, and each one's latencies."""

    def __init__(self, plan: BurstPlan) -> None:
        self._plan = plan

    def check(self, target: Target) -> None:
        """Any target will do."""

    async def run(self, target: Target, point: Point, seed: int) -> Measured:
        prompt, output, batch = (int(point[name]) for name in ("prompt_tokens", "output_tokens", "batch"))
        planned = equal_requests(self._plan.requests or batch, prompt, output, seed)
        started_s = time.perf_counter()
        records = await Sender(target).closed_loop(planned, batch)
        total_s = time.perf_counter() - started_s
        require_answers(records, target)
        done = [record for record in records if record.completed]
        metrics = {
            "total_s": total_s,
            "requests_per_s": len(done) / total_s,
            "output_tokens_per_s": sum(record.output_tokens for record in done) / total_s,
            "completed_share": len(done) / len(records),
            **latencies(records),
            **phases(records),
        }
        return Measured(metrics)

    def gives_up(self, measured: Measured) -> bool:
        return False
