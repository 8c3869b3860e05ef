"""The command line is quick to answer, and tells what is wrong without a traceback and with the right exit code."""

import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.unit.cli.conftest import COMMAND, Splitwiser

HEAVY = ("grpc", "opentelemetry", "pydantic", "redis", "structlog", "tokenizers", "torch", "transformers")


def seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def test_help_answers_in_half_a_second() -> None:
    """On a machine that is busy with other things, within what Python itself and its terminal library take there."""
    libraries = (sys.executable, "-c", "import typer, rich.console, rich.table, rich.markdown")
    took, least = map(min, zip(*((seconds(*COMMAND, "--help"), seconds(*libraries)) for _ in range(5)), strict=True))
    assert took < max(0.5, 2.5 * least)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['splitwiser', '--help']\nfrom splitwiser.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print('loaded', *sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    modules = output.rpartition("loaded")[2].split()
    assert "typer" in modules
    assert not set(HEAVY) & set(modules)


async def test_version(splitwiser: Splitwiser) -> None:
    assert (await splitwiser("--version")).output == f"splitwiser {version('splitwiser')}\n"


async def test_completion_knows_commands_and_values(splitwiser: Splitwiser) -> None:
    variables = {"_SPLITWISER_COMPLETE": "complete_bash", "_TYPER_COMPLETE_ARGS": "splitwiser up --engine s"}
    ended = await splitwiser(**variables, COMP_WORDS="splitwiser up --engine s", COMP_CWORD="3")
    assert ended.output.split() == ["sim"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["upp"], "No such command 'upp'"),
        (["up", "--frobnicate"], "--frobnicate"),
        (["generate"], "Missing argument"),
        (["generate", "x", "--top-k", "-1"], "--top-k"),
        (["generate", "x", "--seed", "18446744073709551616"], "--seed"),
    ],
)
async def test_a_usage_error_exits_with_2(arguments: list[str], told: str, splitwiser: Splitwiser) -> None:
    ended = await splitwiser(*arguments)
    assert ended.code == 2
    assert told in ended.errors
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--engine", "simm"], ["engine.kind", "'simm'", "--engine", "one of sim, transformers"]),
        (["--workers", "2:x"], ["decode.workers", "'x'", "--workers", "a whole number greater than 0"]),
        (["--workers", "0"], ["prefill.workers", "decode.workers", "greater than 0"]),
        (["--set", "pool.page=5"], ["pool.page", "--set pool.page", "did you mean pool.pages?"]),
        (["--set", "pool"], ["--set", "'pool'", "NAME=VALUE"]),
        (["--listen", "50051"], ["router.listen", "'50051'", "--listen", "HOST:PORT"]),
        (["--config", "none.toml"], ["none.toml", "No such file"]),
        (["--engine", "sim", "--set", "pool.pages=1"], ["pool.prefill_share", "0.5", "raise pool.pages"]),
    ],
)
async def test_a_wrong_setting_exits_with_2_and_names_field_value_origin_and_remedy(
    arguments: list[str], told: list[str], splitwiser: Splitwiser
) -> None:
    ended = await splitwiser("up", *arguments)
    assert ended.code == 2
    assert ended.errors.startswith("error: ")
    assert "help: " in ended.errors
    assert "Traceback" not in ended.errors
    assert [part for part in told if part not in ended.errors] == []
    assert not ended.output


async def test_a_wrong_variable_is_told(splitwiser: Splitwiser) -> None:
    ended = await splitwiser("up", "--check", SPLITWISER_ROUTER_LISTEN="127.0.0.1:1")
    assert ended.code == 2
    assert "did you mean SPLITWISER_ROUTER__LISTEN?" in ended.errors


async def test_check_starts_nothing(splitwiser: Splitwiser, tmp_path: Path) -> None:
    ended = await splitwiser("up", "--check", "--engine", "sim", "--listen", "127.0.0.1:0")
    assert (ended.code, ended.output) == (0, "settings and machine are fine\n")
    assert not list((tmp_path / "runs" / "local" / "logs").iterdir())


async def test_check_finds_what_the_machine_lacks(splitwiser: Splitwiser) -> None:
    ended = await splitwiser("up", "--check", "--engine", "sim", "--set", "redis.url=redis://127.0.0.1:1")
    assert ended.code == 1
    assert ended.errors.startswith("error: redis.url: no Redis answers at redis://127.0.0.1:1")
