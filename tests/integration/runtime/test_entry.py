"""How a service process is started where nobody resolved its settings for it: a partial file, variables, clear ends."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from splitwiser.stack.card import read_card
from tests.support.sockets import free_port, socket_folder
from tests.support.waiting import PATIENCE_S


def command(config: Path, *flags: str, service: str = "store") -> list[str]:
    return [sys.executable, "-m", f"services.{service}", "--config", str(config), *flags]


def write(folder: Path, settings: object) -> Path:
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    return path


async def health_of(address: str, service: str = "") -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return int((await health_pb2_grpc.HealthStub(channel).Check(request, timeout=60)).status)


async def test_a_partial_file_is_enough_and_a_variable_wins_over_it() -> None:
    port, health_port = free_port(), free_port()
    with socket_folder() as folder:
        tls = {"cert_file": "/nonexistent", "key_file": "/nonexistent"}
        config = write(folder, {"run_dir": "/nonexistent", "store": {"socket": "s.sock"}, "tls": tls})
        flags = ("--listen", f"0.0.0.0:{port}", "--health-listen", f"127.0.0.1:{health_port}")
        environment = {**os.environ, "SPLITWISER_RUN_DIR": str(folder)}
        process = await asyncio.create_subprocess_exec(*command(config, *flags), env=environment)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (card := read_card(folder, "store")):
                    assert process.returncode is None
                    await asyncio.sleep(0.02)
            assert card.address == f"unix:{folder}/s.sock"
            for bound in (port, health_port):
                assert await health_of(f"127.0.0.1:{bound}") == 1
                assert await health_of(f"127.0.0.1:{bound}", "liveness") == 1
        finally:
            process.terminate()
            await process.wait()


def ending(*arguments: str, **environment: str) -> tuple[int, list[str]]:
    """Exit code and the last two lines of stderr."""
    ended = subprocess.run(
        arguments, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=100
    )
    return ended.returncode, ended.stderr.splitlines()[-2:]


@pytest.mark.parametrize(
    ("settings", "environment", "field"),
    [
        ({"pool": {"pages": 0}}, {}, "pool.pages"),
        ({"poole": {}}, {}, "poole"),
        ({"store": {"beat_s": 15, "lease_s": 20}}, {}, "store.beat_s"),
        ({}, {"SPLITWISER_POOL__PAGES": "many"}, "pool.pages"),
        ({}, {"SPLITWISER_POOL__PAGE": "1"}, "pool.page"),
    ],
)
def test_a_wrong_setting_ends_with_cause_and_help_as_the_last_words(
    settings: object, environment: dict[str, str], field: str, tmp_path: Path
) -> None:
    code, (cause, remedy) = ending(*command(write(tmp_path, settings)), **environment)
    assert code == 2
    assert cause.startswith(f"error: {field}: ")
    assert remedy.startswith("help: ")


def test_a_file_that_is_not_there_or_is_broken_is_told(tmp_path: Path) -> None:
    code, (cause, remedy) = ending(*command(tmp_path / "absent.json"))
    assert (code, remedy.startswith("help: ")) == (2, True)
    assert "absent.json" in cause
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    code, (cause, remedy) = ending(*command(broken))
    assert (code, remedy.startswith("help: ")) == (2, True)


def test_plaintext_beyond_this_machine_is_refused_to_workers_too(tmp_path: Path) -> None:
    config = write(tmp_path, {"run_dir": str(tmp_path), "engine": {"kind": "sim"}})
    code, (cause, remedy) = ending(*command(config, "--listen", "0.0.0.0:0", service="decode"))
    assert code == 2
    assert "plaintext" in cause
    assert "router.allow_plaintext" in remedy


@pytest.mark.parametrize(
    ("engine", "missing", "cause"),
    [
        ({"kind": "transformers"}, "torch", "engine.kind: the transformers engine needs torch"),
        ({"kind": "transformers", "device": "cuda"}, "cuda", "engine.device: engine.device=cuda needs cuda-bindings"),
    ],
)
def test_an_image_without_the_engine_is_told(engine: dict[str, str], missing: str, cause: str, tmp_path: Path) -> None:
    """As in the router's image, given to a worker of another engine than sim."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    config = write(tmp_path, {"run_dir": str(tmp_path), "engine": engine})
    code, (said, remedy) = ending(*command(config, "--listen", f"unix:{tmp_path}/d", service="decode"), PYTHONPATH=path)
    assert code == 1
    assert said.startswith(f"error: {cause}")
    assert remedy.startswith("help: ")


@pytest.mark.parametrize("service", ["router", "prefill"])
def test_a_certificate_that_is_not_there_is_told(service: str, tmp_path: Path) -> None:
    """As where a Secret lacks a key. The store has no use for one."""
    tls = {name: str(tmp_path / name) for name in ("cert_file", "key_file", "ca_file")}
    config = write(tmp_path, {"run_dir": str(tmp_path), "engine": {"kind": "sim"}, "tls": tls})
    code, (cause, remedy) = ending(*command(config, "--listen", f"unix:{tmp_path}/s", service=service))
    assert code == 2
    assert cause.startswith("error: tls.cert_file: cannot read")
    assert "Secret" in remedy
