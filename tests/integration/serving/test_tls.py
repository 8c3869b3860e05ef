"""All services of a release over mutual TLS, found by name, as a chart runs them; and what is said if it cannot be."""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import trustme

from splitwiser.config.schema import TlsSettings
from splitwiser.errors import WorkerLost
from splitwiser.rpc.client import Client
from splitwiser.stack.health import is_serving
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import StopConditions
from tests.support.certificates import write_secret
from tests.support.pods import Pod, Pods, running_pods
from tests.support.sockets import free_port
from tests.support.stack import running_stack
from tests.support.waiting import PATIENCE_S, until


@pytest.fixture
def tls(tmp_path: Path) -> TlsSettings:
    # The name alone: whoever is found by it must not be checked against its address.
    return write_secret(tmp_path, "localhost")


@pytest.fixture
async def pods(redis_url: str, tls: TlsSettings) -> AsyncIterator[Pods]:
    http = f"localhost:{free_port()}"
    async with running_pods(redis_url, tls=tls.model_dump(), router={"http_listen": http}) as pods:
        yield pods


async def start(pods: Pods) -> Pod:
    """Workers that are found by name, and their router, which serves when this returns."""
    port = {phase: free_port() for phase in ("prefill", "decode")}
    await asyncio.gather(*(pods.start(phase, phase, "--listen", f"0.0.0.0:{port[phase]}") for phase in port))
    health = f"127.0.0.1:{free_port()}"
    names = [part for phase in port for part in (f"--{phase}", f"dns:localhost:{port[phase]}")]
    router = await pods.start("router", "router", "--listen", "localhost:0", "--health-listen", health, *names)
    async with asyncio.timeout(PATIENCE_S):
        while not await is_serving(health):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return router


async def test_a_release_over_tls_serves_grpc_and_http(pods: Pods, tls: TlsSettings) -> None:
    router = await start(pods)
    request = GenerateRequest(text="over tls", stop=StopConditions(max_tokens=20, ignore_eos=True))
    async with Client(router.address, tls) as client:
        answer = [message async for message in client.generate(request, timeout_s=60)]
    assert sum(len(message.token_ids) for message in answer) == 20
    assert not await is_serving(router.address)
    assert await is_serving(router.address, tls, timeout_s=PATIENCE_S)
    context = ssl.create_default_context(cafile=tls.ca_file)
    with pytest.raises(httpx2.HTTPError):
        async with httpx2.AsyncClient(verify=context) as stranger:
            await stranger.get(f"https://{router.card.http_address}/v1/models")
    context.load_cert_chain(tls.cert_file, tls.key_file)
    async with httpx2.AsyncClient(verify=context) as http:
        assert (await http.get(f"https://{router.card.http_address}/v1/models")).status_code == 200


async def generate(address: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "splitwiser.cli", "generate", "hello", "--address", address, "--max-tokens", "5"),
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


async def test_the_command_line_speaks_tls_by_its_settings(pods: Pods, tls: TlsSettings, tmp_path: Path) -> None:
    router = await start(pods)
    variables = {f"SPLITWISER_TLS__{name.upper()}": value for name, value in tls.model_dump().items()}
    code, out, errors = await generate(router.address, **variables)
    assert (code, errors) == (0, "")
    assert out
    other = write_secret(tmp_path / "other", "localhost").ca_file
    code, _, errors = await generate(router.address, **{**variables, "SPLITWISER_TLS__CA_FILE": other})
    assert code == 2, "its own certificate is not of that CA, which is told before anybody is asked"
    assert "issuer" in errors
    code, _, errors = await generate(router.address, SPLITWISER_TLS__CA_FILE=other)
    assert code == 1
    assert "no router answers" in errors
    assert "unable to get local issuer certificate" in errors


async def test_a_worker_of_another_ca_is_not_used_and_the_log_says_why(pods: Pods, tmp_path: Path) -> None:
    other = write_secret(tmp_path / "other", "localhost", ca=trustme.CA())
    settings = json.loads(pods.config.read_text())
    stranger = tmp_path / "stranger.json"
    stranger.write_text(json.dumps({**settings, "tls": other.model_dump()}))
    port = free_port()
    worker = Pods(pods.folder, stranger)
    try:
        await worker.start("prefill", "prefill", "--listen", f"0.0.0.0:{port}")
        router = await pods.start("router", "router", "--listen", "localhost:0", "--prefill", f"dns:localhost:{port}")
        await until(lambda: "does not answer" in router.log.read_text())
        assert "unable to get local issuer certificate" in router.log.read_text()
    finally:
        await worker.stop()


async def test_a_local_stack_speaks_tls_too(tmp_path: Path) -> None:
    """Its own probes do not, so it is ready whatever name its certificate has."""
    tls = write_secret(tmp_path, "127.0.0.1")
    with running_stack(tls=tls.model_dump()) as stack:
        async with Client(stack.address, tls) as client:
            assert (await client.get_model()).engine == "sim"
        async with Client(stack.address) as client:
            with pytest.raises(WorkerLost):
                await client.get_model()
