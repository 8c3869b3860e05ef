"""Owns the recovery: a worker is killed, or the GPU faults, under a light load; when is a request answered again?

Metrics, in seconds after the fault unless they say otherwise:
fault_s: when it was, after the load's beginning.
back: 1 if within after_s a new process was ready in the place of every broken worker, else 0.
ready_s: when that was; absent where back is 0.
answered_s: when the first request that came after the fault was answered; absent where none was.
longest_silence_s: the longest time without an answer, up to the end of the last request.
failed_requests, failed_after_fault: how many; completed_share: of all.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import pairwise

from splitwiser.bench.load import Silent
from splitwiser.bench.records import RequestRecord
from splitwiser.bench.workload import PlannedRequest, Workload
from splitwiser.errors import ConfigurationError, SplitwiserError
from splitwiser.experiments.definition import Point, RecoveryPlan
from splitwiser.experiments.load import Sender, require_answers
from splitwiser.experiments.measure.base import Measure, Measured
from splitwiser.experiments.sides.target import Target
from splitwiser.helper import helper
from splitwiser.stack.child import State
from splitwiser.stack.local import LocalStack

BIN_MS = 100.0
POLL_S = 0.01
WORKERS = {"kill-prefill": "prefill-0", "kill-decode": "decode-0"}
# A write through a mapping without the right to: fatal for every client of the same MPS server.
# All that takes long comes before the word.
GPU_FAULT = """
import torch
from splitwiser.memory.cuda import segments
from splitwiser.memory.cuda.tensors import as_tensor
made = segments.make("weights", 2**21)
tensor = as_tensor(segments.CudaMapper().map(made.data_fd, 2**21, writable=False))
print("armed", flush=True)
input()
tensor.fill_(1)
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
        """Raises SplitwiserError when the stack does not serve, with every spare that it keeps, before the fault."""
        assert target.stack
        await target.stack.prepared()
        first = PlannedRequest(0.0, self._plan.prompt_tokens, self._plan.output_tokens, seed - 1)
        require_answers([await Sender(target).one(first)], target)
        clock = Clock()
        async with _armed(target.stack, str(point["fault"])) as (broken, strike):
            loading = asyncio.create_task(Sender(target).open_loop(self._workload(seed), clock))
            try:
                await clock.started
                await asyncio.sleep(self._plan.before_s)
                fault_s = time.perf_counter() - clock.started.result()
                ready_s = await self._break(target.stack, broken, strike)
                records = await loading
            finally:
                loading.cancel()
                await asyncio.gather(loading, return_exceptions=True)
        return Measured(figures(records, fault_s, ready_s), series=_curve(records))

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

    async def _break(self, stack: LocalStack, broken: Sequence[str], strike: Callable[[], None]) -> float | None:
        """Seconds until every broken worker's successor is ready; None where that takes longer than after_s."""
        before = {name: stack.services[name].pid for name in broken}
        if down := [name for name in broken if stack.services[name].state is not State.READY]:
            raise SplitwiserError(f"{down[0]} was down before the fault", help="see why in its log")
        started_s = time.perf_counter()
        strike()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._plan.after_s):
                while any(_is_same_or_down(stack, name, pid) for name, pid in before.items()):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)
                return time.perf_counter() - started_s
        return None


def figures(records: Sequence[RequestRecord], fault_s: float, ready_s: float | None) -> dict[str, float]:
    """The metrics, of what was seen alone."""
    after = [record for record in records if record.sent_s > fault_s]
    done = [record for record in records if record.completed]
    answered = [record.finished_s for record in after if record.completed]
    ends = [0.0, *sorted(record.finished_s for record in done), max(record.finished_s for record in records)]
    return {
        "fault_s": fault_s,
        "back": float(ready_s is not None),
        **({} if ready_s is None else {"ready_s": ready_s}),
        **({"answered_s": min(answered) - fault_s} if answered else {}),
        "longest_silence_s": max(b - a for a, b in pairwise(ends)),
        "failed_requests": float(len(records) - len(done)),
        "failed_after_fault": float(sum(not record.completed for record in after)),
        "completed_share": len(done) / len(records),
    }


def _is_same_or_down(stack: LocalStack, name: str, pid: int) -> bool:
    status = stack.services[name]
    return status.pid == pid or status.state is not State.READY


@asynccontextmanager
async def _armed(stack: LocalStack, fault: str) -> AsyncIterator[tuple[Sequence[str], Callable[[], None]]]:
    """The workers that the fault breaks, and what breaks them at once. Raises SplitwiserError where nothing can."""
    if worker := WORKERS.get(fault):
        yield [worker], lambda: os.kill(stack.services[worker].pid, signal.SIGKILL)
        return
    async with _third_client(stack) as process:
        assert process.stdin
        assert process.stdout
        if not await process.stdout.readline():
            raise SplitwiserError("no third client of the GPU came up", help="run `splitwiser doctor --gpu`")
        yield list(WORKERS.values()), partial(process.stdin.write, b"\n")


@asynccontextmanager
async def _third_client(stack: LocalStack) -> AsyncIterator[asyncio.subprocess.Process]:
    """Of the same MPS daemon; it faults at a line on its standard input."""
    from splitwiser.mps.client import ClientShare
    from splitwiser.stack.doctor import daemon_of

    control, _ = await asyncio.to_thread(daemon_of, stack.settings)
    environ = {**os.environ, **ClientShare().environment(control)}
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    async with helper(sys.executable, "-c", GPU_FAULT, env=environ, stdin=pipe, stdout=pipe, stderr=nowhere) as process:
        yield process


def _curve(records: Sequence[RequestRecord]) -> dict[str, list[tuple[float, float]]]:
    """Requests that ended well, and that failed, in each tenth of a second."""
    end_ms = max(record.finished_s for record in records) * 1e3
    bins = int(end_ms / BIN_MS) + 1
    curves = {"answered": [0] * bins, "failed": [0] * bins}
    for record in records:
        curves["answered" if record.completed else "failed"][int(record.finished_s * 1e3 / BIN_MS)] += 1
    return {name: [(place * BIN_MS, float(count)) for place, count in enumerate(each)] for name, each in curves.items()}
