"""Nsight Compute's table: a phase's figure is the mean over its kernels, weighted by their time."""

from pathlib import Path

import pytest

from splitwiser.errors import StartupError
from splitwiser.experiments.nsight import DRAM, SM, TIME, command, summed

HEAD = (
    '"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","Block Size","Grid Size","Device",'
    '"CC","Section Name","Metric Name","Metric Unit","Metric Value"\n'
)


def row(launch: int, metric: str, value: str) -> str:
    cells = (launch, 1, "python3", "127.0.0.1", "void gemm<1, 2>(int)", 1, 7, "(128, 1, 1)", "(8, 1, 1)", 0, "9.0", "x")
    return ",".join(f'"{cell}"' for cell in (*cells, metric, "unit", value)) + "\n"


def kernel(launch: int, time_ns: str, sm: str, dram: str) -> list[str]:
    return [row(launch, TIME, time_ns), row(launch, SM, sm), row(launch, DRAM, dram)]


def test_long_kernels_weigh_more() -> None:
    lines = [
        "==PROF== Connected to process 1\n",
        HEAD,
        *kernel(0, "3,000", "80.0", "10"),
        *kernel(1, "1000", "0", "50"),
    ]
    found = summed("prefill", 512, 8, lines)
    assert (found.kernels, found.kernels_ms) == (2, 0.004)
    assert (found.sm_percent, found.dram_percent) == (60.0, 20.0)


def test_the_raw_page_has_a_row_for_each_kernel_below_one_of_units() -> None:
    lines = [
        "==PROF== Disconnected\n",
        f'"ID","Process ID","Kernel Name","{DRAM}","{TIME}","{SM}"\n',
        '"","","","%","us","%"\n',
        '"0","7","void gemm<1, 2>(int)","10","3","80.0"\n',
        '"1","7","copy","50","1","0"\n',
        '"2","7","not measured","n/a","1","0"\n',
    ]
    found = summed("prefill", 512, 8, lines)
    assert (found.kernels, found.kernels_ms) == (2, 0.004)
    assert (found.sm_percent, found.dram_percent) == (60.0, 20.0)


def test_what_ncu_complained_of_is_told() -> None:
    lines = ["==PROF== x\n", "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission\n"]
    with pytest.raises(StartupError, match="ERR_NVGPUCTRPERM"):
        summed("decode", 512, 8, lines)


def test_few_kernels_of_one_range_are_profiled_with_the_clocks_as_they_are() -> None:
    flags = " ".join(command("ncu", "decode", Path("/tmp/table")))
    assert "--nvtx --nvtx-include decode/ " in flags
    assert "--launch-count" in flags
    assert "--clock-control none" in flags


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [HEAD],
        ["==WARNING== No kernels were profiled.\n"],
        [HEAD, row(0, SM, "5")],
        [HEAD, *kernel(0, "5", "n/a", "1")],
    ],
)
def test_a_table_without_a_kernel_is_no_figure(lines: list[str]) -> None:
    with pytest.raises(StartupError, match="no kernel"):
        summed("decode", 512, 8, lines)
