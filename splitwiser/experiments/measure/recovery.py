"""Owns the recovery: a worker is killed, or the GPU faults, under a light load; when is a request answered again?"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from itertools import pairwise

from splitwiser.bench.load import Silent
from splitwiser.bench.records import RequestRecord
from splitwiser.bench.workload import PlannedRequest, Workload
from splitwiser.errors import ConfigurationError
from splitwiser.experiments.definition import Point, RecoveryPlan
from splitwiser.experiments.load import Sender
from splitwiser.experiments.measure.base import Measure, Measured
from splitwiser.experiments.sides.target import Target
from splitwiser.stack.child import State
from splitwiser.stack.local import LocalStack

BIN_MS = 100.0
POLL_S = 0.01
WORKERS = {"kill-prefill": "prefill-0", "kill-decode": "decode-0"}
# A write through a mapping without the right to: fatal for every client of the same MPS server.
GPU_FAULT = """
import torch
from splitwiser.memory.cuda import segments
from splitwiser.memory.cuda.tensors import as_tensor
made = segments.make("weights", 2**21)
as_tensor(segments.CudaMapper().map(made.data_fd, 2**21, writable=False)).fill_(1)
torch.cuda.synchronize()
"""


class Clock(Silent):
    """Tells when the load began."""

    def __init__(self) -> None:
        self.started: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def on_sent(self, index: int) -> None:
        if not self.started.done():
            self.started.set_result(time.perf_counter())


class Recovery(Measure):
    """Requests come all the time; those in flight at the fault may fail, and are counted."""

    def __init__(self, plan: RecoveryPlan) -> None:
        self._plan = plan

    def check(self, target: Target) -> None:
        """Needs a stack of its own, whose processes it may kill; a GPU fault needs a GPU."""
        if target.stack is None or target.settings is None:
            raise ConfigurationError(
                "kills workers, so it needs a split stack of its own",
                field=target.name,
                help="give the side stack: split, and run it without --endpoint",
            )
        if "gpu-fault" in self._plan.faults and target.settings.engine.device != "cuda":
            raise ConfigurationError("is a GPU's", field="plan.faults: gpu-fault", help="leave it out on a CPU")

    async def run(self, target: Target, point: Point, seed: int) -> Measured:
        assert target.stack
        fault, clock = str(point["fault"]), Clock()
        load = asyncio.create_task(Sender(target).open_loop(self._workload(seed), clock))
        try:
            await clock.started
            await asyncio.sleep(self._plan.before_s)
            fault_s = time.perf_counter() - clock.started.result()
            ready_s = await self._break(target.stack, fault)
            records = await load
        finally:
            load.cancel()
        return Measured(self._metrics(records, fault_s, ready_s), series=_curve(records))

    def gives_up(self, measured: Measured) -> bool:
        return False

    def _workload(self, seed: int) -> Workload:
        plan = self._plan
        count = round((plan.before_s + plan.after_s) * plan.rate_per_s)
        return Workload(
            "steady",
            tuple(
                PlannedRequest(index / plan.rate_per_s, plan.prompt_tokens, plan.output_tokens, seed + index)
                for index in range(count)
            ),
        )

    async def _break(self, stack: LocalStack, fault: str) -> float:
        """Break it; returns the seconds until every worker is ready again."""
        before = {name: status.pid for name, status in stack.services.items()}
        started_s = time.perf_counter()
        if fault == "gpu-fault":
            await _fault_the_gpu(stack)
            broken = ["prefill-0", "decode-0"]
        else:
            broken = [WORKERS[fault]]
            os.kill(before[broken[0]], signal.SIGKILL)
        async with asyncio.timeout(self._plan.after_s):
            while any(_is_same_or_down(stack, name, before[name]) for name in broken):  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
        return time.perf_counter() - started_s

    def _metrics(self, records: Sequence[RequestRecord], fault_s: float, ready_s: float) -> dict[str, float]:
        after = [record for record in records if record.sent_s > fault_s]
        done = [record for record in records if record.completed]
        answered = [record.finished_s for record in done if record.sent_s > fault_s]
        gaps = sorted(record.finished_s for record in done)
        return {
            "fault_s": fault_s,
            "ready_s": ready_s,
            "answered_s": (min(answered) if answered else self._plan.after_s + fault_s) - fault_s,
            "longest_silence_s": max((b - a for a, b in pairwise(gaps)), default=0.0),
            "failed_requests": float(len(records) - len(done)),
            "failed_after_fault": float(sum(not record.completed for record in after)),
            "completed_share": len(done) / len(records),
        }


def _is_same_or_down(stack: LocalStack, name: str, pid: int) -> bool:
    status = stack.services[name]
    return status.pid == pid or status.state is not State.READY


async def _fault_the_gpu(stack: LocalStack) -> None:
    """By a third client of the same daemon."""
    from splitwiser.mps.client import ClientShare
    from splitwiser.stack.doctor import daemon_of

    control, _ = await asyncio.to_thread(daemon_of, stack.settings)
    environment = {**os.environ, **ClientShare().environment(control)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GPU_FAULT), env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    await process.wait()


def _curve(records: Sequence[RequestRecord]) -> dict[str, list[tuple[float, float]]]:
    """Requests that ended well, and that failed, in each tenth of a second."""
    end_ms = max(record.finished_s for record in records) * 1e3
    bins = int(end_ms / BIN_MS) + 1
    curves = {"answered": [0] * bins, "failed": [0] * bins}
    for record in records:
        curves["answered" if record.completed else "failed"][int(record.finished_s * 1e3 / BIN_MS)] += 1
    return {name: [(place * BIN_MS, float(count)) for place, count in enumerate(each)] for name, each in curves.items()}
