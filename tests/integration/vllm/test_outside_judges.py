"""What others measure and call with works against the HTTP door: `vllm bench serve`, and OpenAI's own client."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack import RunningStack, running_stack

REQUESTS, PROMPT_TOKENS, OUTPUT_TOKENS = 24, 48, 12


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A small model on the transformers engine, whose chat template is the plainest."""
    from splitwiser.engine.transformers.tiny import make_tiny

    model = make_tiny(tmp_path_factory.mktemp("models") / "chat")
    (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    router = {"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    with running_stack(engine={"kind": "transformers", "model": str(model)}, router=router) as stack:
        yield stack


async def bench(stack: RunningStack, folder: Path, *flags: str) -> dict[str, Any]:
    """The result of `vllm bench serve`, as docs/benchmarking.md has it."""
    command = (
        *(str(Path(sys.executable).with_name("vllm")), "bench", "serve", "--base-url", stack.http_url),
        *("--model", stack.settings.engine.model, "--num-prompts", str(REQUESTS), "--request-rate", "20"),
        *("--dataset-name", "random", "--random-input-len", str(PROMPT_TOKENS)),
        *("--random-output-len", str(OUTPUT_TOKENS), "--ignore-eos", "--temperature", "0", "--seed", "1"),
        *("--goodput", "ttft:60000", "tpot:10000", "--save-result", "--result-dir", str(folder)),
        *("--result-filename", "result.json", *flags),
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


@pytest.mark.parametrize(
    "flags", [("--backend", "vllm"), ("--backend", "openai-chat", "--endpoint", "/v1/chat/completions")]
)
async def test_vllms_benchmark_takes_the_router_for_a_vllm(
    stack: RunningStack, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    result = await bench(stack, tmp_path, *flags)
    assert (result["completed"], result["failed"]) == (REQUESTS, 0)
    assert result["total_output_tokens"] == REQUESTS * OUTPUT_TOKENS
    assert result["total_input_tokens"] >= REQUESTS * PROMPT_TOKENS
    assert result["request_goodput"] == pytest.approx(result["request_throughput"])
    assert 0 < result["mean_ttft_ms"] < result["duration"] * 1e3
    # No chunk but those with tokens: more of them would make the mean gap smaller; tokens that come together, larger.
    assert result["mean_itl_ms"] > 0.95 * result["mean_tpot_ms"]
    await stack.assert_nothing_is_left()


async def test_limits_that_nothing_meets_give_no_goodput(stack: RunningStack, tmp_path: Path) -> None:
    result = await bench(stack, tmp_path, "--backend", "vllm", "--goodput", "ttft:0.001")
    assert result["completed"] == REQUESTS
    assert result["request_goodput"] == 0


async def test_openais_own_client(stack: RunningStack) -> None:
    from openai import AsyncOpenAI, BadRequestError, NotFoundError

    async with AsyncOpenAI(base_url=f"{stack.http_url}/v1", api_key="none", max_retries=0) as client:
        (model,) = [model.id async for model in client.models.list()]
        whole = await client.completions.create(model=model, prompt="Once", max_tokens=8, temperature=0, logprobs=2)
        stream = await client.completions.create(model=model, prompt="Once", max_tokens=8, temperature=0, stream=True)
        text = "".join([chunk.choices[0].text async for chunk in stream])
        assert (whole.choices[0].text, whole.usage and whole.usage.completion_tokens) == (text, 8)
        logprobs = whole.choices[0].logprobs
        assert logprobs
        # Greedy: each token is the likeliest one.
        assert [max(top.values()) for top in logprobs.top_logprobs or ()] == logprobs.token_logprobs
        messages: Any = [{"role": "user", "content": "Who?"}]
        chat = await client.chat.completions.create(
            model=model, messages=messages, max_completion_tokens=8, temperature=0, logprobs=True, top_logprobs=1
        )
        content = chat.choices[0].logprobs
        assert content
        assert content.content
        assert (
            b"".join(bytes(entry.bytes or ()) for entry in content.content)
            .decode(errors="replace")
            .startswith(chat.choices[0].message.content or "")
        )
        with pytest.raises(BadRequestError, match="n: only one choice"):
            await client.completions.create(model=model, prompt="x", n=2)
        form: Any = {"type": "json_object"}
        with pytest.raises(BadRequestError, match="does not offer it"):
            await client.chat.completions.create(model=model, messages=messages, response_format=form)
        with pytest.raises(NotFoundError, match="not served here"):
            await client.completions.create(model="gpt-5", prompt="x")
