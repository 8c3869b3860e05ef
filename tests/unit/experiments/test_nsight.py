"""Nsight Compute's table: a row for each step that was measured, in the order of the points."""

from pathlib import Path

import pytest

from splitwiser.errors import StartupError
from splitwiser.experiments.nsight import SM, command, rows_of
from tests.unit.experiments.examples import NCU_HEAD, NCU_UNITS, ncu_row

POINT = [(512, 8)]


def test_every_step_has_a_row() -> None:
    table = ncu_row(0, "prefill", "3.02", "3,103,168", "9.42") + ncu_row(1, "decode", "1.95", "3,490,048", "2.74")
    prefill, decode = rows_of(POINT, NCU_HEAD + NCU_UNITS + table)
    assert (prefill.phase, prefill.prompt_tokens, prefill.batch) == ("prefill", 512, 8)
    assert (prefill.dram_percent, prefill.sm_percent, round(prefill.step_ms, 6)) == (3.02, 9.42, 3.103168)
    assert (decode.phase, decode.sm_percent) == ("decode", 2.74)


@pytest.mark.parametrize(("unit", "step_ms"), [("us", 3.0), ("msecond", 3000.0), ("?", 0.003)])
def test_times_have_the_tables_unit(unit: str, step_ms: float) -> None:
    table = ncu_row(0, "prefill", "1", "3,000", "2") + ncu_row(1, "decode", "1", "1", "2")
    assert rows_of(POINT, NCU_HEAD + NCU_UNITS.replace("ns", unit) + table)[0].step_ms == pytest.approx(step_ms)


def test_what_ncu_complained_of_is_told() -> None:
    warning = "==WARNING== Note: Running with unmodified GPU clocks.\n"
    said = f"==PROF== x\n{warning}==ERROR== ERR_NVGPUCTRPERM - The user does not have permission\n"
    with pytest.raises(StartupError, match="0 of 2 steps: ==ERROR== ERR_NVGPUCTRPERM"):
        rows_of(POINT, said)


@pytest.mark.parametrize(
    "table",
    [
        "",
        NCU_HEAD,
        NCU_HEAD + NCU_UNITS + ncu_row(0, "prefill", "1", "1", "1"),
        NCU_HEAD + NCU_UNITS + ncu_row(0, "decode", "1", "1", "1") + ncu_row(1, "prefill", "1", "1", "1"),
        NCU_HEAD + NCU_UNITS + ncu_row(0, "prefill", "1", "1", "n/a") + ncu_row(1, "decode", "1", "1", "1"),
        NCU_HEAD.replace(SM, "other")
        + NCU_UNITS
        + ncu_row(0, "prefill", "1", "1", "1")
        + ncu_row(1, "decode", "1", "1", "1"),
    ],
)
def test_a_table_of_other_steps_is_no_figure(table: str) -> None:
    with pytest.raises(StartupError, match="of 2 steps"):
        rows_of(POINT, table)


def test_steps_are_measured_whole_with_the_clocks_as_they_are() -> None:
    flags = " ".join(command("ncu", Path("/tmp/table")))
    assert "--nvtx --nvtx-include prefill/ --nvtx-include decode/ " in flags
    assert "--graph-profiling graph" in flags
    assert "--clock-control none" in flags
