"""Split vLLM against one unsplit vLLM: equal tokens, and unequal ones once the KV between the phases is lost."""

import pytest

from splitwiser.bench.verify.runner import VerifyOptions, run_verification
from splitwiser.config.schema import Settings


def options(model: str, *, requests: int, zero_pool: bool = False, offload_gib: float = 0) -> VerifyOptions:
    settings = Settings.model_validate({"engine": {"kind": "vllm", "model": model, "weight_offload_gib": offload_gib}})
    return VerifyOptions(settings, requests=requests, zero_pool=zero_pool, fail_fast=zero_pool)


def no_progress(model: str, stage: str, done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("offload_gib", [0, 0.0005])
async def test_split_tokens_are_those_of_one_vllm(tiny_llama: str, offload_gib: float) -> None:
    report = await run_verification(options(tiny_llama, requests=20, offload_gib=offload_gib), no_progress)
    (result,) = report.results
    assert report.passed, report.to_json()
    assert (result.requests, result.weight_copies, result.handoff.bytes_copied) == (20, 1, 0)
    assert result.handoff.pages > 0


async def test_lost_kv_is_noticed(tiny_llama: str) -> None:
    report = await run_verification(options(tiny_llama, requests=20, zero_pool=True), no_progress)
    assert not report.passed
    assert report.examples()
