"""Recovery over real stacks: only a prepared stack is broken, and a worker that is late ends no run."""

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from splitwiser.bench.load import Answer
from splitwiser.errors import SplitwiserError, StartupError
from splitwiser.experiments.commands import RunOptions, run_experiment
from splitwiser.experiments.definition import RecoveryPlan
from splitwiser.experiments.measure.recovery import Recovery
from splitwiser.experiments.sides.target import Target
from splitwiser.rpc.client import Client
from splitwiser.stack.local import LocalStack
from splitwiser.v1.inference_pb2 import GenerateRequest
from tests.integration.experiments.conftest import FAST, write_experiment
from tests.integration.experiments.test_runs import QUIET
from tests.integration.stack.conftest import make_settings

PLAN: dict[str, Any] = {
    "kind": "recovery",
    "faults": ["kill-decode", "kill-prefill"],
    "prompt_tokens": 8,
    "output_tokens": 4,
}
TOO_SHORT = {**PLAN, "rate_per_s": 40, "before_s": 0.2, "after_s": 0.05}
"""No process starts within after_s; two requests come after the fault."""
NOBODY_AFTER = {**PLAN, "rate_per_s": 2, "before_s": 0.5, "after_s": 0.05}
"""One request, which has ended when the fault comes."""


@asynccontextmanager
async def split(run_dir: Path, **stack: object) -> AsyncIterator[tuple[Target, LocalStack]]:
    async with LocalStack(make_settings(run_dir, **FAST, stack=stack)) as up, Client(up.address) as client:
        yield Target("split", (client,), await client.get_model(), up.settings, run_dir, up), up


async def kill_decode(target: Target, plan: dict[str, Any]) -> dict[str, float]:
    recovery = Recovery(RecoveryPlan.model_validate(plan))
    return (await recovery.run(target, {"fault": "kill-decode"}, seed=0)).metrics


async def test_nothing_is_broken_before_every_spare_can_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unprepared: list[Sequence[str]] = []
    kill = os.kill
    async with split(tmp_path / "run", spares="on") as (target, stack):

        def look_and_kill(pid: int, number: int) -> None:
            unprepared.append(stack.unprepared)
            kill(pid, number)

        with monkeypatch.context() as patch:
            patch.setattr(os, "kill", look_and_kill)
            for _ in range(2):
                await kill_decode(target, {**PLAN, "rate_per_s": 20, "before_s": 0.05, "after_s": 0.2})
    assert unprepared == [[], []]


async def test_workers_that_are_late_are_samples_without_the_time_and_end_no_run(tmp_path: Path) -> None:
    sides = {"split": {"stack": "split"}}
    changed = {"sides": sides, "reference": "split", "aa_pairs": 0, "repeats": 1, "plan": TOO_SHORT}
    folder = write_experiment(tmp_path / "experiments", **changed)
    result, _ = await run_experiment(RunOptions(folder, "example", out=tmp_path / "out"), QUIET)
    assert result.complete
    assert [sample.point["fault"] for sample in result.samples] == TOO_SHORT["faults"]
    for sample in result.samples:
        assert sample.metrics["back"] == 0.0
        assert "ready_s" not in sample.metrics
        assert sample.metrics["answered_s"] > TOO_SHORT["after_s"], "by the successor, after the watch"
        assert sample.metrics["completed_share"] == 1.0


@pytest.mark.slow
async def test_a_worker_that_never_comes_back_is_a_sample_and_then_an_error_with_its_name(tmp_path: Path) -> None:
    async with split(tmp_path / "run", start_timeout_s=15) as (target, _):
        (tmp_path / "run" / "resolved.json").write_text("not settings")
        metrics = await kill_decode(target, NOBODY_AFTER)
        assert metrics["back"] == 0.0
        assert not {"ready_s", "answered_s"} & set(metrics)
        with pytest.raises(StartupError, match="decode-0: not ready") as raised:
            await kill_decode(target, NOBODY_AFTER)
    assert str(tmp_path / "run" / "logs") in raised.value.help


class Deadly:
    """A client whose second request, the load's first, is the end of decode."""

    def __init__(self, client: Client, stack: LocalStack) -> None:
        self._client = client
        self._stack = stack
        self._sent = 0

    def generate(self, request: GenerateRequest, *, timeout_s: float) -> Answer:
        self._sent += 1
        if self._sent == 2:
            os.kill(self._stack.services["decode-0"].pid, signal.SIGKILL)
        return self._client.generate(request, timeout_s=timeout_s)


async def test_a_worker_that_ended_by_itself_is_not_taken_for_the_fault(tmp_path: Path) -> None:
    async with split(tmp_path / "run") as (target, stack):
        deadly = replace(target, clients=(Deadly(target.clients[0], stack),))  # type: ignore[arg-type]
        with pytest.raises(SplitwiserError, match="decode-0 was down before the fault"):
            await kill_decode(deadly, TOO_SHORT)
