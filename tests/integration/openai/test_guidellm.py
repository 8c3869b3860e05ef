"""GuideLLM, another outside judge, measures the HTTP door, as docs/benchmarking.md has it."""

import asyncio
import json
import os
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splitwiser.helper import helper
from tests.support.stack import RunningStack, running_stack

REQUIREMENTS = Path("tools/guidellm-requirements.txt").absolute()
INSTALL_S = 200
REQUESTS, PROMPT_TOKENS, OUTPUT_TOKENS = 12, 48, 8
pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    from splitwiser.engine.transformers.tiny import make_tiny

    model = make_tiny(tmp_path_factory.mktemp("models") / "tiny")
    router = {"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    with running_stack(engine={"kind": "transformers", "model": str(model)}, router=router) as stack:
        yield stack


@pytest.fixture
async def guidellm(tmp_path: Path) -> Path:
    """The program in an environment of its own, on top of this one, whose torch it takes."""
    place = tmp_path / "guidellm"
    code, said = await run(sys.executable, "-m", "venv", str(place))
    assert code == 0, said
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "base.pth").write_text(sysconfig.get_path("purelib"))
    quick = ("--quiet", "--timeout=15", "--retries=1", "--no-deps")
    try:
        async with asyncio.timeout(INSTALL_S):
            code, said = await run(str(place / "bin/pip"), "install", *quick, "--requirement", str(REQUIREMENTS))
    except TimeoutError:
        code, said = 1, f"not in {INSTALL_S} s"
    if code:
        pytest.skip(f"guidellm cannot be installed here: {said[-300:]}")
    return place / "bin/guidellm"


async def run(*command: str, **environment: str) -> tuple[int, str]:
    """Exit code, and what was said."""
    pipes = {"stdin": DEVNULL, "stdout": PIPE, "stderr": STDOUT}
    async with helper(*command, env={**os.environ, **environment}, **pipes) as process:
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode(errors="replace")


async def test_guidellm_gets_every_answer_as_long_as_it_asked(
    guidellm: Path, stack: RunningStack, tmp_path: Path
) -> None:
    backend = f"kind=openai_http,target={stack.http_url},request_format=/v1/completions"
    result = tmp_path / "guidellm.json"
    code, said = await run(
        *(str(guidellm), "run", "--backend", backend, "--profile", "kind=constant,rate=4"),
        *("--constraint", f"kind=max_requests,count={REQUESTS}"),
        *("--tokenizer", f"kind=hf_auto,model={stack.settings.engine.model}"),
        *("--data", f"kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={OUTPUT_TOKENS}"),
        *("--output", f"kind=json,path={result}"),
        HF_HUB_OFFLINE="1",
    )
    assert code == 0, said
    (benchmark,) = json.loads(result.read_text())["benchmarks"]
    requests: dict[str, list[Any]] = benchmark["requests"]
    assert (len(requests["successful"]), requests["errored"], requests["incomplete"]) == (REQUESTS, [], [])
    assert {each["output_tokens"] for each in requests["successful"]} == {OUTPUT_TOKENS}
    await stack.assert_nothing_is_left()
