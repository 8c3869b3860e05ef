"""`splitwiser up` serves until it is told to stop, and then nothing of it is left."""

import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.integration.cli.conftest import Running, run, started
from tests.support.certificates import write_secret

UP = ("up", "--engine", "sim", "--listen", "127.0.0.1:0")


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Running]:
    async with started(tmp_path, *UP) as running:
        await running.line("serving at ")
        yield running


def sockets_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*.sock"))


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


async def test_with_a_certificate_its_http_address_is_one_of_https(tmp_path: Path) -> None:
    tls = write_secret(tmp_path / "tls")
    sets = [f"--set=tls.{name}={value}" for name, value in tls.model_dump().items()]
    async with started(tmp_path, *UP, "--http", "127.0.0.1:0", *sets) as running:
        assert "https://127.0.0.1:" in await running.line("OpenAI API at ")


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
