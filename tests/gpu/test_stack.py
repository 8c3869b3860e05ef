"""A whole stack on one GPU under MPS: right tokens, both workers attached, one of them killed and back."""

import asyncio
import os
import signal
from pathlib import Path

from splitwiser.engine.transformers.reference import Reference
from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.errors import StartupError
from splitwiser.mps.attachment import clients
from splitwiser.mps.daemon import own_daemon
from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2 as pb
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.gpu.processes import has_cuda
from tests.support.stack import RunningStack, running_stack

PROMPTS = [tuple(range(start, start + length)) for start, length in ((3, 9), (20, 60), (7, 300))]
TOKENS = 20


async def generate(address: str, prompt_ids: tuple[int, ...]) -> list[int]:
    request = pb.GenerateRequest(
        token_ids=pb.TokenIds(ids=prompt_ids),
        sampling=SamplingParams(temperature=0),
        stop=StopConditions(max_tokens=TOKENS, ignore_eos=True),
    )
    async with Client(address) as client:
        return [token async for message in client.generate(request) for token in message.token_ids]


async def test_in_turns_without_mps_the_tokens_are_the_same(tmp_path: Path) -> None:
    model = make_tiny(tmp_path / "model")
    reference = Reference(str(model), device="cuda")
    engine = {"kind": "transformers", "model": str(model), "device": "cuda"}
    with running_stack(engine=engine, pool={"pages": 512}, gpu={"sharing": "time-slice"}) as stack:
        assert await generate(stack.address, PROMPTS[2]) == reference.generate(PROMPTS[2], TOKENS)
        assert not own_daemon(stack.settings.run_dir / "mps").pipe_dir.exists()


async def test_a_stack_serves_right_tokens_before_and_after_a_worker_is_killed(tmp_path: Path) -> None:
    model = make_tiny(tmp_path / "model")
    reference = Reference(str(model), device="cuda")
    expected = [reference.generate(prompt_ids, TOKENS) for prompt_ids in PROMPTS]
    engine = {"kind": "transformers", "model": str(model), "device": "cuda"}
    with running_stack(engine=engine, pool={"pages": 512}) as stack:
        control = own_daemon(stack.settings.run_dir / "mps")
        workers = {stack.pid("prefill-0"), stack.pid("decode-0")}
        assert workers <= {each.pid for each in clients(control)}
        assert not has_cuda(stack.pid("store"))
        assert has_cuda(stack.pid("decode-0"))
        assert await asyncio.gather(*(generate(stack.address, prompt) for prompt in PROMPTS)) == expected
        await kill_and_wait(stack, "decode-0")
        assert [await generate(stack.address, prompt) for prompt in PROMPTS] == expected
        await stack.assert_nothing_is_left()
    assert not control.is_running()


async def test_a_cap_serves_right_tokens_or_is_refused(tmp_path: Path) -> None:
    model = make_tiny(tmp_path / "model")
    reference = Reference(str(model), device="cuda")
    engine = {"kind": "transformers", "model": str(model), "device": "cuda"}
    try:
        with running_stack(engine=engine, pool={"pages": 512}, gpu={"prefill_sm_percent": 50}) as stack:
            assert await generate(stack.address, PROMPTS[2]) == reference.generate(PROMPTS[2], TOKENS)
    except StartupError as error:
        assert "matrix products are wrong" in error.cause  # noqa: PT017


async def kill_and_wait(stack: RunningStack, instance: str) -> None:
    pid = stack.pid(instance)
    os.kill(pid, signal.SIGKILL)
    while stack.pid(instance) == pid or not stack.is_ready(instance):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
