"""vLLM split on one GPU under MPS: right tokens, one pool, and starts that disturb nobody. Needs vLLM's GPU build."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.bench.footprint import WEIGHTS_NAMES
from splitwiser.bench.process import mappings
from splitwiser.bench.verify.runner import VerifyOptions, run_verification
from splitwiser.config.schema import Settings
from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.mps.attachment import clients
from splitwiser.mps.daemon import own_daemon
from splitwiser.rpc.client import Client
from tests.support.live_pool import (
    all_tokens_of,
    check_a_start_writes_to_no_page,
    check_decode_restarts_while_prefill_holds_granted_pages,
    check_prefill_restarts_while_decode_runs,
    request,
    restart,
)
from tests.support.outgrown_pool import SECTIONS, check_answers_outgrow_the_pool, pool_of
from tests.support.paced_prefill import PREFILL, check_tokens_are_those_without_pauses
from tests.support.stack import RunningStack, running_stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
# So many that the other worker starts in less time; a step takes about a millisecond.
LONG_ANSWER_TOKENS = 20_000
PATIENT = {"start_timeout_s": 300}
ENGINE = {"kind": "vllm", "device": "cuda", "dtype": "bfloat16"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    model = make_tiny(tmp_path_factory.mktemp("models") / "llama", max_position_embeddings=32768)
    engine = {**ENGINE, "model": str(model), "batch_invariant": True}
    with running_stack(engine=engine, pool={"pages": 10240, "prefill_share": 0.2}, stack=PATIENT) as stack:
        yield stack


def test_both_workers_are_clients_of_the_daemon(stack: RunningStack) -> None:
    attached = {each.pid for each in clients(own_daemon(stack.settings.run_dir / "mps"))}
    assert {stack.pid("prefill-0"), stack.pid("decode-0")} <= attached


@pytest.mark.parametrize("instance", ["prefill-0", "decode-0"])
async def test_a_start_writes_to_no_page(stack: RunningStack, instance: str) -> None:
    await check_a_start_writes_to_no_page(stack, instance)


async def test_prefill_restarts_while_decode_runs(stack: RunningStack) -> None:
    await check_prefill_restarts_while_decode_runs(stack, LONG_ANSWER_TOKENS)


async def test_decode_restarts_while_prefill_holds_granted_pages(stack: RunningStack) -> None:
    await check_decode_restarts_while_prefill_holds_granted_pages(stack)


async def test_answers_that_outgrow_the_pool_are_those_of_requests_alone(tmp_path: Path) -> None:
    engine = {**ENGINE, "model": str(make_tiny(tmp_path / "model")), "dtype": "float32", "batch_invariant": True}
    with running_stack(engine=engine, pool=pool_of(16), stack=PATIENT, **SECTIONS) as stack:
        await check_answers_outgrow_the_pool(stack)


async def test_pauses_between_steps_leave_tokens_as_they_are(tmp_path: Path) -> None:
    engine = {**ENGINE, "model": str(make_tiny(tmp_path / "model")), "dtype": "float32", "batch_invariant": True}
    with (
        running_stack(engine=engine, pool={"pages": 1024}, stack=PATIENT) as whole,
        running_stack(engine=engine, pool={"pages": 1024}, prefill=PREFILL, stack=PATIENT) as paced,
    ):
        await check_tokens_are_those_without_pauses(whole, paced)


async def test_weights_on_the_host_are_one_copy_and_give_the_same_tokens(stack: RunningStack) -> None:
    """Half of the weights, so that most steps read both parts."""
    engine = stack.settings.engine.model_copy(update={"weight_offload_gib": 0.0007})
    prompts = [request(number, 70, 200, temperature=number % 2) for number in range(8)]
    with running_stack(engine=engine, pool={"pages": 1024}, stack=PATIENT) as offloaded:
        pids = [offloaded.pid(instance) for instance in ("prefill-0", "decode-0")]
        on_host = [{each.inode for each in mappings(pid) if each.name == WEIGHTS_NAMES[1]} for pid in pids]
        async with Client(offloaded.address) as client:
            answers = await all_tokens_of(client, prompts)
            await restart(offloaded, "decode-0")
            assert await all_tokens_of(client, prompts) == answers
    async with Client(stack.address) as client:
        assert await all_tokens_of(client, prompts) == answers
    assert on_host[0] == on_host[1]
    assert len(on_host[0]) == 1


def no_progress(model: str, stage: str, done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("zero_pool", [False, True])
async def test_split_tokens_are_those_of_one_vllm_and_lost_kv_is_noticed(tmp_path: Path, zero_pool: bool) -> None:
    model = make_tiny(tmp_path / "model")
    settings = Settings.model_validate(
        {"engine": {**ENGINE, "model": str(model), "dtype": "float32"}, "stack": PATIENT}
    )
    options = VerifyOptions(settings, requests=20, zero_pool=zero_pool, fail_fast=zero_pool)
    report = await run_verification(options, no_progress)
    (result,) = report.results
    assert report.passed is not zero_pool, report.to_json()
    assert result.handoff.pages > 0
