"""TLS with real certificates: who has none of the CA is not let in, wrong files are told, new ones are taken up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from splitwiser.config.schema import TlsSettings
from splitwiser.errors import ConfigurationError, WorkerLost
from splitwiser.rpc.certificate import check_certificate
from splitwiser.rpc.client import Client, call_unary, open_channel
from splitwiser.rpc.listen import ListenOptions
from splitwiser.rpc.server import serve
from splitwiser.rpc.tls import follow_files
from splitwiser.v1 import inference_pb2, inference_pb2_grpc
from tests.support.certificates import secret_in, write_secret
from tests.support.waiting import PATIENCE_S
from tests.unit.rpc.test_server import Echo, service


@asynccontextmanager
async def serving(tls: TlsSettings) -> AsyncIterator[str]:
    echo = Echo()
    echo.release.set()
    async with serve("127.0.0.1:0", [service(echo)], options=ListenOptions(tls=tls)) as server:
        yield server.address


async def ask(address: str, tls: TlsSettings) -> list[int]:
    async with Client(address, tls) as client:
        return await client.tokenize("abc")


async def test_both_sides_show_a_certificate_of_the_ca(tmp_path: Path) -> None:
    tls = write_secret(tmp_path)
    async with serving(tls) as address:
        assert await ask(address, tls) == [3]


async def test_without_a_ca_clients_need_no_certificate(tmp_path: Path) -> None:
    tls = write_secret(tmp_path)
    async with serving(tls.model_copy(update={"ca_file": ""})) as address:
        assert await ask(address, TlsSettings(ca_file=tls.ca_file)) == [3]


async def test_nobody_else_is_let_in(tmp_path: Path) -> None:
    tls, ca = write_secret(tmp_path / "right"), trustme.CA()
    stranger = write_secret(tmp_path / "stranger", ca=ca)
    strangers = {
        "plaintext": TlsSettings(),
        "no certificate": TlsSettings(ca_file=tls.ca_file),
        "a certificate of another CA": stranger.model_copy(update={"ca_file": tls.ca_file}),
        "does not trust the server": stranger,
    }
    async with serving(tls) as address:
        for who in strangers.values():
            with pytest.raises(WorkerLost):
                await ask(address, who)
        assert await ask(address, tls) == [3]


async def test_a_server_must_have_the_name_that_it_was_found_by(tmp_path: Path) -> None:
    tls = write_secret(tmp_path, "prefill")
    request = inference_pb2.TokenizeRequest(text="abc")
    async with serving(tls) as address:
        async with open_channel(address, tls, "prefill") as channel:
            stub = inference_pb2_grpc.InferenceServiceStub(channel)
            assert (await call_unary(stub.Tokenize, request, timeout_s=60)).token_ids == [3]
        for name in ("", "decode"):
            async with open_channel(address, tls, name) as channel:
                stub = inference_pb2_grpc.InferenceServiceStub(channel)
                with pytest.raises(WorkerLost, match=r"Hostname Verification"):
                    await call_unary(stub.Tokenize, request, timeout_s=60)


async def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    old = write_secret(tmp_path / "live")
    kept = write_secret(tmp_path / "next")
    async with serving(old) as address:
        with pytest.raises(WorkerLost):
            await ask(address, kept)
        for name in ("tls.key", "ca.crt"):
            (tmp_path / "live" / name).write_bytes((tmp_path / "next" / name).read_bytes())
        # Half a renewal is none.
        with pytest.raises(WorkerLost):
            await ask(address, kept)
        (tmp_path / "live" / "tls.crt").write_bytes((tmp_path / "next" / "tls.crt").read_bytes())
        assert await ask(address, kept) == [3]


async def test_changed_files_are_told_once_they_can_be_used(tmp_path: Path) -> None:
    tls, changes = write_secret(tmp_path), list[int]()
    following = asyncio.create_task(follow_files(tls, lambda: changes.append(1), every_s=0.02))
    await asyncio.sleep(0.1)
    (tmp_path / "tls.key").write_text("half")
    await asyncio.sleep(0.1)
    assert changes == []
    write_secret(tmp_path)
    async with asyncio.timeout(PATIENCE_S):
        while not changes:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    following.cancel()
    await asyncio.wait({following})
    assert changes == [1]


def refusal(tls: TlsSettings) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        check_certificate(tls)
    assert raised.value.help
    return raised.value


def test_good_files_pass(tmp_path: Path) -> None:
    tls = write_secret(tmp_path)
    for good in (tls, tls.model_copy(update={"ca_file": ""}), TlsSettings(ca_file=tls.ca_file), TlsSettings()):
        check_certificate(good)


def test_an_expired_certificate_is_told(tmp_path: Path) -> None:
    tls = write_secret(tmp_path, expired=True)
    for expired in (tls, tls.model_copy(update={"ca_file": ""})):
        error = refusal(expired)
        assert error.field == "tls.cert_file"
        assert "expired" in error.cause


def test_a_certificate_of_another_ca_is_told(tmp_path: Path) -> None:
    error = refusal(write_secret(tmp_path, trusted=trustme.CA()))
    assert error.field == "tls.cert_file"
    assert "issuer" in error.cause
    assert "ca.crt" in error.help


def test_the_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    tls = write_secret(tmp_path / "a")
    other = write_secret(tmp_path / "b")
    error = refusal(tls.model_copy(update={"key_file": other.key_file}))
    assert error.field == "tls.key_file"


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
def test_a_missing_file_is_told_by_its_setting(name: str, tmp_path: Path) -> None:
    write_secret(tmp_path)
    (tmp_path / name).unlink()
    error = refusal(secret_in(tmp_path))
    field = {"tls.crt": "tls.cert_file", "tls.key": "tls.key_file", "ca.crt": "tls.ca_file"}[name]
    assert error.field == field
    assert "No such file" in error.cause


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
def test_a_file_that_is_no_pem_is_told(name: str, tmp_path: Path) -> None:
    write_secret(tmp_path)
    (tmp_path / name).write_text("nonsense")
    assert name in refusal(secret_in(tmp_path)).cause
