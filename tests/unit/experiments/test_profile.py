"""Nsight Compute's table: a phase's figure is the mean over its kernels, weighted by their time."""

import pytest

from splitwiser.errors import StartupError
from splitwiser.experiments.profile import DRAM, SM, TIME, is_possible, summed
from tests.unit.experiments.examples import definition

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


@pytest.mark.parametrize("lines", [[], [HEAD], ["==ERROR== no kernels\n"], [HEAD, row(0, SM, "5")]])
def test_a_table_without_a_kernel_is_no_figure(lines: list[str]) -> None:
    with pytest.raises(StartupError, match="no kernel"):
        summed("decode", 512, 8, lines)


def test_a_cpu_is_not_profiled() -> None:
    assert not is_possible(definition(profile=True))
