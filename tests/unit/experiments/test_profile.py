"""The profile of the phases is by Nsight Compute, by NVML where that fails, and a run goes on where both do."""

from pathlib import Path

import pytest

from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.errors import StartupError
from splitwiser.experiments import nsight
from splitwiser.experiments.definition import Definition
from splitwiser.experiments.phase_load import row_of
from splitwiser.experiments.profile import is_wanted, profile
from splitwiser.experiments.result import PhaseProfile
from tests.unit.experiments.examples import BURST, definition, ncu_row, ncu_table

PLAN = {**BURST, "prompt_tokens": [8], "batch": [1, 2]}
TABLE = ncu_table(*(ncu_row(turn, ("prefill", "decode")[turn % 2], "20", "1000", "40") for turn in range(4)))


@pytest.fixture
def wanted(tmp_path: Path) -> Definition:
    engine = {"kind": "transformers", "device": "cuda", "model": str(make_tiny(tmp_path / "tiny"))}
    return definition(profile=True, plan=PLAN, settings={"engine": engine})


def ncu(folder: Path, monkeypatch: pytest.MonkeyPatch, table: str, code: int) -> None:
    """A program that stands for Nsight Compute: leaves the table where --log-file says, and runs nothing."""
    (folder / "table").write_text(table)
    program = folder / "ncu"
    take = 'while [ "$1" != --log-file ]; do shift; done; cp'
    program.write_text(f'#!/bin/sh\n{take} {folder}/table "$2"; exit {code}\n')
    program.chmod(0o755)
    monkeypatch.setattr(nsight, "PLACES", folder / "none")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


async def test_each_phase_at_each_point_by_nsight_compute(
    wanted: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ncu(tmp_path, monkeypatch, TABLE, 0)
    said: list[str] = []
    rows: list[PhaseProfile] = []
    assert await profile(wanted, rows, said.append) == []
    assert [(row.phase, row.batch, row.prompt_tokens) for row in rows] == [
        ("prefill", 1, 8),
        ("decode", 1, 8),
        ("prefill", 2, 8),
        ("decode", 2, 8),
    ]
    assert {(row.by, row.step_ms, row.sm_percent, row.dram_percent) for row in rows} == {
        ("Nsight Compute", 0.001, 40, 20)
    }
    assert said == ["Nsight Compute: both phases at 2 points"]


@pytest.mark.parametrize("there", [2, 3])
async def test_a_profile_that_was_stopped_keeps_its_points_and_goes_on_with_the_others(
    there: int, wanted: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ncu(tmp_path, monkeypatch, TABLE, 0)
    rows: list[PhaseProfile] = []
    await profile(wanted, rows, lambda line: None)
    first, rows = rows[:2], rows[:there]
    rest = ncu_table(ncu_row(0, "prefill", "1", "1", "1"), ncu_row(1, "decode", "1", "1", "1"))
    ncu(tmp_path, monkeypatch, rest, 0)
    said: list[str] = []
    assert await profile(wanted, rows, said.append) == []
    assert said == ["Nsight Compute: both phases at 1 points"]
    assert rows[:2] == first
    assert [(row.phase, row.batch, row.sm_percent) for row in rows[2:]] == [("prefill", 2, 1), ("decode", 2, 1)]
    assert await profile(wanted, rows, said.append) == []
    assert len(said) == 1


async def test_one_that_fails_leaves_it_to_nvml_and_both_that_fail_are_noted(
    wanted: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ncu(tmp_path, monkeypatch, "==ERROR== ERR_NVGPUCTRPERM - no permission\n", 1)
    rows: list[PhaseProfile] = []
    notes = await profile(wanted, rows, lambda line: None)
    assert rows == []
    assert "no profile by Nsight Compute: ncu failed: ==ERROR== ERR_NVGPUCTRPERM" in notes[0]
    # The load itself ran here, on a CPU, of which NVML knows nothing.
    assert notes[1] == "no profile by NVML: NVML tells no SM activity and DRAM use of this GPU"


def test_only_what_was_sampled_within_the_load_counts() -> None:
    told = {"begin_ns": 1_000_000_000, "end_ns": 3_000_000_000, "steps": 4}
    activity = [(900.0, 5.0), (1050.0, 5.0), (1150.0, 60.0), (3000.0, 80.0), (3100.0, 5.0)]
    series = {"SM activity %": activity, "DRAM %": [(at, value / 2) for at, value in activity]}
    row = row_of("decode", 8, 2, series, told, start_ns=0)
    assert (row.by, row.sm_percent, row.dram_percent, row.step_ms) == ("NVML", 70.0, 35.0, 500.0)
    with pytest.raises(StartupError, match="tells no SM activity"):
        row_of("decode", 8, 2, {"CPU busy %": activity}, told, start_ns=0)


def test_a_cpu_is_not_profiled() -> None:
    assert not is_wanted(definition(profile=True))
