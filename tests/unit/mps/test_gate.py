"""A cap whose products are wrong serves nobody, and the refusal names the caps to use instead."""

import json
import subprocess
import sys

import pytest
import torch

from splitwiser.errors import StartupError
from splitwiser.mps.gate import Finding, check_cap, check_partition, measure_products, nearest_passing, rows_up_to
from splitwiser.mps.gemm import relative_error

PASSING = {10, 25, 50, 90, 95, 100}


async def measure(cap: int) -> Finding:
    error = 0.002 if cap in PASSING else 0.3
    return Finding(cap, cap * 132 // 100, error, m=512, n=4096, k=1024, unwritten=0.0 if cap in PASSING else 0.25)


async def test_a_cap_with_right_products_passes() -> None:
    assert (await check_cap(50, measure)).error == 0.002


async def test_a_cap_with_wrong_products_is_refused_and_the_nearest_right_ones_are_named() -> None:
    with pytest.raises(
        StartupError, match=r"cap of 80 % \(105 multi.*\[512, 1024\] times \[1024, 4096\] by 0.3"
    ) as error:
        await check_cap(80, measure)
    assert "25.0% of it unwritten" in error.value.cause
    assert error.value.help == "set a cap that passes: 50 % or 90 %"


@pytest.mark.parametrize("sm_percent", [50, 80])
async def test_a_partition_serves_only_where_its_products_are_right(sm_percent: int) -> None:
    if sm_percent in PASSING:
        assert (await check_partition("prefill", measure(sm_percent))).passes
        return
    with pytest.raises(StartupError, match=r"on 105 multi.* of its own prefill's matrix products are wrong") as error:
        await check_partition("prefill", measure(sm_percent))
    assert error.value.field == "gpu.prefill_sms"


@pytest.mark.parametrize(("cap", "near"), [(42, [25, 50]), (80, [50, 90]), (55, [50, 90]), (7, [10]), (30, [25, 50])])
async def test_the_search_goes_outward_in_steps_of_five(cap: int, near: list[int]) -> None:
    assert await nearest_passing(cap, measure) == near


async def test_where_no_cap_passes_none_is_the_advice() -> None:
    async def wrong(cap: int) -> Finding:
        return Finding(cap, cap, 0.3, 1, 1, 1)

    with pytest.raises(StartupError) as error:
        await check_cap(50, wrong)
    assert error.value.help == "set a cap that passes: 100 %"


def test_steps_of_every_size_are_measured() -> None:
    assert rows_up_to(1) == [1]
    assert rows_up_to(64) == [1, 2, 4, 8, 16, 32, 64]
    assert rows_up_to(100) == [1, 2, 4, 8, 16, 32, 64, 100]


async def test_products_are_measured_in_a_process_of_their_own() -> None:
    finding = await measure_products([(48, 32), (96, 64)], [1, 8], "bfloat16", 30, {}, device="cpu")
    assert finding.passes
    assert (finding.sm_percent, finding.unwritten) == (30, 0.0)


async def test_a_process_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(StartupError, match=r"failed to run(.|\n)*no_such_dtype"):
        await measure_products([(48, 32)], [1], "no_such_dtype", 30, {}, device="cpu")


def test_the_program_prints_json_that_any_reader_takes() -> None:
    job = {"device": "cpu", "dtype": "float32", "rows": [3], "shapes": [[8, 16]]}
    done = subprocess.run(
        [sys.executable, "-m", "splitwiser.mps.gemm"], input=json.dumps(job), capture_output=True, text=True, check=True
    )
    (product,) = json.loads(done.stdout)["products"]
    assert {name: product[name] for name in "mnk"} == {"m": 3, "n": 8, "k": 16}


@pytest.fixture(scope="module")
def product() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    inputs, weight = torch.randn(64, 256).bfloat16(), torch.randn(128, 256).bfloat16()
    return inputs, weight, inputs @ weight.T


def test_rounding_passes_and_every_kind_of_wrong_output_does_not(
    product: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    inputs, weight, right = product
    exact = inputs.double() @ weight.T.double()
    true_error = float((right.double() - exact).norm() / exact.norm())
    assert relative_error(inputs, weight, right) == pytest.approx(true_error, rel=0.2)
    for tile, value in (((slice(0, 8), slice(0, 16)), 0.0), ((slice(63, 64), slice(127, 128)), 1e4)):
        wrong = right.clone()
        wrong[tile] = value
        assert relative_error(inputs, weight, wrong) > 0.05
    wrong = right.clone()
    wrong[5, 5] = torch.nan
    assert relative_error(inputs, weight, wrong) == 1e6
