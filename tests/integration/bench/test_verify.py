"""The verification itself: it passes over a healthy stack, and it fails when the KV between the phases is lost."""

from pathlib import Path

import pytest

from splitwiser.bench.commands import VerifyOptions, verify
from splitwiser.bench.verify.reference import reference_for
from splitwiser.config.schema import EngineSettings, Settings

SIM = Settings(engine=EngineSettings(kind="sim"))


async def test_the_sim_engine_passes() -> None:
    seen: list[tuple[str, int, int]] = []
    options = VerifyOptions(SIM, requests=20)
    report = await verify(options, lambda _, stage, done, total: seen.append((stage, done, total)))
    (result,) = report.results
    assert report.passed
    assert (result.requests, result.seeded_requests, result.weight_copies) == (20, 4, 1)
    assert result.handoff.pages == result.handoff.pages_expected > 100
    assert result.handoff.bytes_copied == 0
    assert seen[23] == ("reference", 24, 24)
    assert seen[-1] == ("answers", 58, 58)
    assert result.cached_tokens > 1000


async def test_several_workers_of_each_phase_pass() -> None:
    settings = SIM.model_copy(
        update={
            "prefill": SIM.prefill.model_copy(update={"workers": 2}),
            "decode": SIM.decode.model_copy(update={"workers": 2}),
        }
    )
    assert (await verify(VerifyOptions(settings, requests=20))).passed


async def test_both_phases_in_one_process_pass() -> None:
    settings = SIM.model_copy(update={"gpu": SIM.gpu.model_copy(update={"sharing": "single"})})
    report = await verify(VerifyOptions(settings, requests=20))
    assert report.passed
    assert report.results[0].weight_copies == 1


async def test_a_zeroed_pool_makes_the_sim_engine_fail() -> None:
    report = await verify(VerifyOptions(SIM, requests=20, zero_pool=True))
    assert not report.passed
    assert len(report.results[0].mismatches) > 10


async def test_fail_fast_stops_at_the_first_wrong_token() -> None:
    report = await verify(VerifyOptions(SIM, requests=20, zero_pool=True, fail_fast=True))
    (result,) = report.results
    assert report.stopped_early
    assert not report.passed
    assert len(result.mismatches) + len(result.seeded_mismatches) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_transformers_pass_and_fail_on_a_zeroed_pool(tmp_path: Path) -> None:
    async with reference_for(Settings()) as reference:
        models = dict(await reference.models("", tmp_path))
    settings = Settings(engine=EngineSettings(kind="transformers", model=models["llama"]))
    report = await verify(VerifyOptions(settings, requests=12))
    assert report.passed, report.examples()
    single = settings.model_copy(update={"gpu": settings.gpu.model_copy(update={"sharing": "single"})})
    report = await verify(VerifyOptions(single, requests=12))
    assert report.passed, report.examples()
    zeroed = await verify(VerifyOptions(settings, requests=12, zero_pool=True))
    assert not zeroed.passed
    assert len(zeroed.results[0].mismatches) > 5
