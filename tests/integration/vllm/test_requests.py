"""Requests that do not run to their end, and models that are not served."""

import asyncio
import json
from pathlib import Path

import pytest

from splitwiser.config.schema import Settings
from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.errors import StartupError
from splitwiser.rpc.client import Client
from splitwiser.stack.local import LocalStack
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.sockets import socket_folder
from tests.support.stack import RunningStack


def endless(text: str, temperature: float = 0) -> GenerateRequest:
    sampling = SamplingParams(temperature=temperature, seed=7)
    return GenerateRequest(text=text, sampling=sampling, stop=StopConditions(max_tokens=3000, ignore_eos=True))


async def test_cancelling_frees_the_pages_in_either_phase(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        streams = [client.generate(endless(f"decoding {number}"), timeout_s=60) for number in range(6)]
        for stream in streams:
            await anext(stream)
            await anext(stream)
        queued = [asyncio.ensure_future(anext(client.generate(endless("p" * 3000), timeout_s=60))) for _ in range(6)]
        await asyncio.sleep(0.01)
        for prompt in queued:
            prompt.cancel()
        for stream in streams:
            await stream.aclose()
        await asyncio.gather(*queued, return_exceptions=True)
    await stack.assert_nothing_is_left()


async def test_a_seed_gives_the_same_tokens_in_any_company(stack: RunningStack) -> None:
    async def first_tokens(client: Client) -> list[int]:
        tokens: list[int] = []
        stream = client.generate(endless("once upon", temperature=0.9), timeout_s=60)
        async for message in stream:
            tokens.extend(message.token_ids)
            if len(tokens) >= 60:
                break
        await stream.aclose()
        return tokens[:60]

    async with Client(stack.address) as client:
        alone = await first_tokens(client)
        together = await asyncio.gather(*(first_tokens(client) for _ in range(4)))
    assert together == [alone] * 4
    assert len(set(alone)) > 10, "drawn, not greedy"


async def test_a_model_with_experts_is_refused(tmp_path: Path) -> None:
    model = make_tiny(tmp_path / "mixtral", "mixtral", num_local_experts=2)
    with socket_folder() as folder:
        settings = Settings.model_validate(
            {
                "run_dir": folder / "run",
                "engine": {"kind": "vllm", "model": str(model)},
                "router": {"listen": "127.0.0.1:0"},
            }
        )
        with pytest.raises(StartupError, match="it has experts"):
            async with LocalStack(settings):
                pass


async def test_a_model_that_vllm_does_not_know_is_refused(tmp_path: Path) -> None:
    model = make_tiny(tmp_path / "unheard-of")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"architectures": ["UnheardOfForCausalLM"]}))
    with socket_folder() as folder:
        settings = Settings.model_validate(
            {
                "run_dir": folder / "run",
                "engine": {"kind": "vllm", "model": str(model)},
                "router": {"listen": "127.0.0.1:0"},
            }
        )
        with pytest.raises(StartupError, match="UnheardOf") as refused:
            async with LocalStack(settings):
                pass
    assert "choose a model that vLLM serves" in str(refused.value)
