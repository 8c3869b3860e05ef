"""What can be done beside a running `splitwiser up`; it runs once for all of these tests."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.cli.conftest import run, started
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")
UP = ("up", "--engine", "sim", "--listen", "127.0.0.1:0")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """Where the stack runs."""
    folder = tmp_path_factory.mktemp("up")
    async with started(folder, *UP) as running:
        await running.line("serving at ")
        yield folder


async def test_a_request_and_its_trace(folder: Path) -> None:
    answer = await run(folder, "generate", "hello", "--max-tokens", "5", "--request-id", "one", "--json")
    assert answer.code == 0, answer.errors
    assert answer.json["usage"] == {"prompt_tokens": 5, "completion_tokens": 5}
    assert answer.json["timings"]["ttft_ms"] > 0
    spans: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        # Each service tells its own, a moment later, and the one that holds all the others ends last.
        while len(spans) < 10 or spans[0]["name"] != "request":
            trace = await run(folder, "trace", "one", "--json")
            spans = trace.json["spans"] if trace.code == 0 else []
    assert {span["instance"] for span in spans} == {"router", "prefill-0", "decode-0"}


async def test_an_error_of_the_server_is_told_by_field_and_help(folder: Path) -> None:
    answer = await run(folder, "generate", "hello", "--temperature", "9")
    assert answer.code == 1
    assert answer.errors.startswith("error: ")
    assert "temperature" in answer.errors
    assert "help: " in answer.errors


async def test_load_against_it_is_reported_as_json(folder: Path) -> None:
    bench = await run(folder, "bench", "--requests", "20", "--rate", "50", "--max-tokens", "64", "--json")
    assert bench.code == 0, bench.errors
    assert bench.json["completed"] == 20
    assert bench.json["ttft_ms"]["count"] == 20


async def test_a_second_one_in_the_same_folder_is_refused(folder: Path) -> None:
    second = await run(folder, *UP)
    assert second.code == 1
    assert second.errors.startswith("error: run_dir: ")
    assert "in use by a live stack" in second.errors
    assert second.output == ""
