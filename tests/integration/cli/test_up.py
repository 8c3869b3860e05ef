"""`splitwiser up` serves until it is told to stop, and then nothing of it is left."""

import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.integration.cli.conftest import Running, run, started

UP = ("up", "--engine", "sim", "--listen", "127.0.0.1:0")


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Running]:
    async with started(tmp_path, *UP) as running:
        await running.line("serving at ")
        yield running


def sockets_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*.sock"))


async def test_a_request_and_its_trace(up: Running, tmp_path: Path) -> None:
    answer = await run(tmp_path, "generate", "hello", "--max-tokens", "5", "--request-id", "one", "--json")
    assert answer.code == 0, answer.errors
    assert answer.json["usage"] == {"prompt_tokens": 5, "completion_tokens": 5}
    assert answer.json["timings"]["ttft_ms"] > 0
    for _ in range(20):
        trace = await run(tmp_path, "trace", "one", "--json")
        if trace.code == 0 and len(trace.json["spans"]) >= 10:
            break
    spans = trace.json["spans"]
    assert {span["instance"] for span in spans} == {"router", "prefill-0", "decode-0"}
    assert spans[0]["name"] == "request"


async def test_an_error_of_the_server_is_told_by_field_and_help(up: Running, tmp_path: Path) -> None:
    answer = await run(tmp_path, "generate", "hello", "--temperature", "9")
    assert answer.code == 1
    assert answer.errors.startswith("error: ")
    assert "temperature" in answer.errors
    assert "help: " in answer.errors


async def test_load_against_it_is_reported_as_json(up: Running, tmp_path: Path) -> None:
    bench = await run(tmp_path, "bench", "--requests", "20", "--rate", "50", "--max-tokens", "64", "--json")
    assert bench.code == 0, bench.errors
    assert bench.json["completed"] == 20
    assert bench.json["ttft_ms"]["count"] == 20


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_stops_everything(up: Running, tmp_path: Path, number: signal.Signals, code: int) -> None:
    children = up.children()
    assert len(children) == 5
    up.send(number)
    ended = await up.end()
    assert ended.code == code
    assert ended.errors == ""
    assert ended.output.splitlines()[-1] == "redis stopped"
    assert not any(psutil.pid_exists(child.pid) for child in children)
    assert sockets_in(tmp_path) == []


async def test_a_second_one_in_the_same_folder_is_refused(up: Running, tmp_path: Path) -> None:
    second = await run(tmp_path, *UP)
    assert second.code == 1
    assert second.errors.startswith("error: run_dir: ")
    assert "in use by a live stack" in second.errors
    assert second.output == ""


async def test_a_lost_store_ends_it_with_a_clear_line(up: Running) -> None:
    store = next(child for child in up.children() if "services.store" in child.cmdline())
    store.kill()
    ended = await up.end()
    assert ended.code == 1
    assert ended.errors.startswith("error: the store ended with signal 9")
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--engine", "sim", "--listen", "{taken}"], "router.listen: cannot listen on {taken}: Address already in use"),
        (["--model", "{folder}/none"], "engine.model: there is no folder"),
        (["--model", "{folder}"], "has no tokenizer.json"),
        (["--engine", "sim", "--set", "redis.url=redis://127.0.0.1:1"], "redis.url: no Redis answers"),
        (["--engine", "sim", "--set", "store.socket=/nowhere/store.sock"], "store.socket: the folder /nowhere is not"),
        (["--engine", "sim", "--run-dir", "/proc/none"], "run_dir: cannot use /proc/none"),
    ],
)
async def test_what_is_missing_is_told_before_anything_starts(arguments: list[str], told: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {"taken": f"127.0.0.1:{taken.getsockname()[1]}", "folder": str(tmp_path)}
        ended = await run(tmp_path, "up", *(argument.format(**names) for argument in arguments))
    assert ended.code == 1
    assert ended.errors.startswith("error: ")
    assert told.format(**names) in ended.errors
    assert "help: " in ended.errors
    assert "Traceback" not in ended.errors
    assert "starting" not in ended.output
