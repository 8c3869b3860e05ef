"""What the HTTP server does before an application sees a request: TLS by the files of now, and bounded headers."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme

from splitwiser.config.schema import TlsSettings
from splitwiser.openai import server as server_module
from splitwiser.openai.server import serve_http
from splitwiser.rpc.tls import follow_files
from tests.support.certificates import write_secret
from tests.support.waiting import PATIENCE_S

BOUND = 8192


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def serving(tls: TlsSettings) -> AsyncIterator[str]:
    async with serve_http("127.0.0.1:0", app, max_header_bytes=BOUND, tls=tls, serving=lambda: True) as server:
        yield server.address


async def lets_in(address: str, tls: TlsSettings) -> bool:
    """Whether it answers who trusts this CA and shows this certificate, on a connection of its own."""
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.load_cert_chain(tls.cert_file, tls.key_file)
    try:
        async with httpx2.AsyncClient(verify=context, trust_env=False) as client:
            return (await client.get(f"https://{address}/")).status_code == 200
    except httpx2.HTTPError:
        return False


async def test_a_ca_that_is_replaced_lets_nobody_in_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "follow_files", partial(follow_files, every_s=0.02))
    before, after = trustme.CA(), trustme.CA()
    old, new = write_secret(tmp_path / "old", ca=before), write_secret(tmp_path / "new", ca=after)
    async with serving(write_secret(tmp_path / "live", ca=before)) as address:
        assert await lets_in(address, old)
        assert not await lets_in(address, new)
        write_secret(tmp_path / "live", ca=after)
        async with asyncio.timeout(PATIENCE_S):
            while not await lets_in(address, new):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert not await lets_in(address, old.model_copy(update={"ca_file": new.ca_file}))


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("asks_for_certificates", [True, False])
async def test_a_session_is_resumed_only_where_nobody_is_verified(
    newest: ssl.TLSVersion, asks_for_certificates: bool, tmp_path: Path
) -> None:
    tls = write_secret(tmp_path)
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.load_cert_chain(tls.cert_file, tls.key_file)
    context.maximum_version = newest
    async with serving(tls if asks_for_certificates else tls.model_copy(update={"ca_file": ""})) as address:
        try:
            assert await asyncio.to_thread(resumes, address, context) is not asks_for_certificates
        except ssl.SSLError:
            assert asks_for_certificates
            assert newest is ssl.TLSVersion.TLSv1_2


def resumes(address: str, context: ssl.SSLContext) -> bool:
    """Whether the server resumes the session of an answered connection, which is open yet."""
    host, _, port = address.rpartition(":")

    def connect(session: ssl.SSLSession | None) -> ssl.SSLSocket:
        plain = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        return context.wrap_socket(plain, server_hostname=host, session=session)

    with connect(None) as first:
        first.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert first.recv(1000).startswith(b"HTTP/1.1 200 ")
        with connect(first.session) as second:
            return bool(second.session_reused)


@pytest.mark.parametrize("size_bytes", [BOUND + 1, 60_000])
@pytest.mark.parametrize("pieces", [1, 3])
async def test_headers_beyond_the_bound_are_refused_with_their_size(size_bytes: int, pieces: int) -> None:
    head = b"GET / HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\nx-bomb: " + b"b" * size_bytes + b"\r\n\r\n"
    async with serving(TlsSettings()) as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for place in range(pieces):
            writer.write(head[place * len(head) // pieces : (place + 1) * len(head) // pieces])
            await asyncio.sleep(0.05)
        answer = await reader.readuntil(b"\r\n\r\n")
        error = json.loads(await reader.readuntil(b"}}"))["error"]
        writer.close()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"x-request-id: mine" in answer
    assert (error["code"], error["param"]) == ("INVALID_REQUEST", "headers")
