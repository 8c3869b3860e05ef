"""Runs over real stacks: everything that was asked for is measured once, and nothing that was measured is ever lost."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from splitwiser.bench.versions import versions
from splitwiser.errors import ConfigurationError, SplitwiserError
from splitwiser.experiments import steps
from splitwiser.experiments.commands import RunOptions, run_experiment
from splitwiser.experiments.definition import Point
from splitwiser.experiments.measure.base import Measured
from splitwiser.experiments.measure.burst import Burst
from splitwiser.experiments.result import FILE, Result, read_result, write_result
from splitwiser.experiments.run import Progress
from splitwiser.experiments.schedule import count, tasks
from splitwiser.experiments.sides.target import Target
from tests.integration.cli.conftest import run, started
from tests.integration.experiments.conftest import write_experiment
from tests.support.stack import running_stack
from tests.support.waiting import PATIENCE_S

QUIET = Progress(say=lambda line: None, step=lambda done, total, what: None)


async def measured(folder: Path, out: Path, **options: object) -> Result:
    result, _ = await run_experiment(RunOptions(folder, "example", out=out, **options), QUIET)  # type: ignore[arg-type]
    return result


async def test_a_run_measures_every_task_once_and_writes_result_and_report(experiments: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = await measured(experiments, out)
    assert result.complete
    for task in tasks(result.defined):
        assert len([sample for sample in result.samples if task.matches(sample)]) == 1
    assert len(result.samples) == count(result.defined)
    assert read_result(out) == result
    assert sorted(path.name for path in out.iterdir()) == ["report.html", FILE]
    for sample in result.samples:
        assert sample.metrics["completed_share"] == 1.0
        assert sample.metrics["total_s"] > 0


async def test_sides_are_warmed_up_before_all_else_and_nothing_of_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[tuple[str, Point, str]] = []

    class Recording(Burst):
        async def run(self, target: Target, point: Point, seed: int) -> Measured:
            loads.append((target.name, point, target.salt))
            return await super().run(target, point, seed)

    monkeypatch.setattr("splitwiser.experiments.run.measure_of", Recording)
    result = await measured(write_experiment(tmp_path / "warm", repeats=1, warm_up=True), tmp_path / "out")
    first = result.defined.plan.points()[0]
    assert loads[:2] == [(side, first, "warm-up") for side in result.defined.sides]
    assert len(loads) - 2 == len(result.samples) == count(result.defined)
    assert "warm-up" not in {salt for *_, salt in loads[2:]}


async def test_both_kinds_of_side_leave_steps_pages_and_the_busy_machine(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A disk that is slow for a moment costs a report a few steps, and here the sum of all.
    monkeypatch.setattr(steps, "FLUSH_S", 3.0)
    result = await measured(experiments, tmp_path / "out")
    for side, phases in (("one", {"prefill", "decode", "mixed"}), ("split", {"prefill", "decode"})):
        kept = [sample for sample in result.of(side) if sample.repeat == 0]
        assert all(sample.steps for sample in kept)
        assert {step.phase for sample in kept for step in sample.steps} <= phases
        assert any(name.startswith("pages ") for name in kept[0].series)
        assert sum(step.tokens for step in kept[0].steps) == 2 * (32 + 7), "every token is put in by one step"


async def test_a_second_run_into_the_same_folder_needs_resume_and_the_same_definition(tmp_path: Path) -> None:
    folder, out = write_experiment(tmp_path / "a", repeats=1), tmp_path / "out"
    first = await measured(folder, out)
    with pytest.raises(ConfigurationError, match="holds a result already"):
        await measured(folder, out)
    assert await measured(folder, out, resume=True) == first, "a whole result is left as it is"
    with pytest.raises(ConfigurationError, match="another definition"):
        await measured(folder, out, resume=True, sets=("seed=7",))
    assert read_result(out) == first


@pytest.mark.slow
async def test_ctrl_c_leaves_what_is_done_and_resume_adds_the_rest(experiments: Path, tmp_path: Path) -> None:
    flags = ("example", "--folder", str(experiments), "--out", str(tmp_path / "out"))
    async with started(tmp_path, "experiment", "run", *flags) as command:
        async with asyncio.timeout(PATIENCE_S):
            while _count(tmp_path / "out") < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        command.send(signal.SIGINT)
        ended = await command.end()
    assert ended.code == 130
    assert "--resume goes on with it" in ended.errors
    left = read_result(tmp_path / "out")
    assert not left.complete
    assert (tmp_path / "out" / "report.html").exists()
    whole = await measured(experiments, tmp_path / "out", resume=True)
    assert whole.complete
    assert whole.samples[: len(left.samples)] == left.samples
    assert len(whole.samples) == count(whole.defined)


def _count(out: Path) -> int:
    try:
        return len(json.loads((out / FILE).read_text())["samples"])
    except FileNotFoundError:
        return 0


async def test_a_running_stack_is_measured_by_its_address(experiments: Path, tmp_path: Path) -> None:
    with running_stack() as stack:
        result = await measured(experiments, tmp_path / "out", endpoint=stack.address)
    assert list(result.defined.sides) == ["endpoint"]
    assert result.endpoint
    assert all(sample.metrics["completed_share"] == 1.0 for sample in result.samples)


async def test_a_run_is_resumed_at_its_own_address_and_says_what_is_another_now(
    experiments: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with running_stack() as stack:
        first = await measured(experiments, out, endpoint=stack.address)
        first.complete, first.versions = False, {**first.versions, "redis": "1.0"}
        write_result(first, out)
        with pytest.raises(ConfigurationError, match=rf"holds a result of {stack.address}, not of 127\.0\.0\.1:1"):
            await measured(experiments, out, endpoint="127.0.0.1:1", resume=True)
        again = await measured(experiments, out, endpoint=stack.address, resume=True)
    assert again.notes == [f"resumed: redis 1.0 -> {versions()['redis']}"]


async def test_nobody_at_the_address_is_told(experiments: Path, tmp_path: Path) -> None:
    with pytest.raises(SplitwiserError):
        await measured(experiments, tmp_path / "out", endpoint="127.0.0.1:1")


async def test_workers_of_a_running_stack_are_never_killed(tmp_path: Path) -> None:
    options = RunOptions(Path("experiments"), "recovery", quick=True, endpoint="127.0.0.1:1", out=tmp_path / "out")
    with pytest.raises(ConfigurationError, match="stacks of its own alone"):
        await run_experiment(options, QUIET)
    assert not (tmp_path / "out").exists()


async def test_a_side_that_does_not_start_ends_the_run_with_its_error(tmp_path: Path) -> None:
    broken = {"stack": "split", "settings": {"engine": {"kind": "transformers", "model": str(tmp_path / "none")}}}
    folder = write_experiment(tmp_path / "a", sides={"one": {"stack": "unsplit"}, "broken": broken})
    with pytest.raises(SplitwiserError, match="none"):
        await measured(folder, tmp_path / "out")
    left = read_result(tmp_path / "out")
    assert (left.complete, left.samples) == (False, [])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("TIMESTAMP,ContextTokens\n1,2\n", "trace.csv line 1: no column GeneratedTokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1,-4,5\n", "trace.csv line 2, ContextTokens: is '-4'"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2,4,5\n1,4,5\n", "trace.csv line 3, TIMESTAMP: is earlier"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1,4,5\n1,4,5\n", "all requests at one time"),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\n1,4,5\n2,4,5\n",
            "has 2 requests, 1 of them after the first 1, and a rate needs",
        ),
    ],
)
async def test_a_bad_trace_is_told_by_line_and_column_and_nothing_is_begun(
    tmp_path: Path, rows: str, told: str
) -> None:
    (tmp_path / "trace.csv").write_text(rows)
    flags = ("goodput", "--quick", "--trace", str(tmp_path / "trace.csv"), "--out", str(tmp_path / "out"))
    ended = await run(tmp_path, "experiment", "run", *flags)
    assert ended.code == 2
    assert told in ended.errors
    assert not (tmp_path / "out").exists()
