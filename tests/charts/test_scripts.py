"""The scripts of charts/files, run as their containers run them."""

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from splitwiser.stack.redis_server import find_redis_server
from tests.support.certificates import write_secret
from tests.support.helm import CHART, Helm, Object
from tests.support.manifests import named
from tests.support.sockets import free_port, socket_folder

FILES = CHART / "files"
TLS = "/etc/splitwiser/tls"


@contextmanager
def own_redis(folder: Path, password: str, *flags: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Redis as the chart starts it, on a socket in the folder."""
    command = ("sh", "-c", (FILES / "redis.sh").read_text(), "redis", "--port", "0", "--save", "", *flags)
    environment = {
        **os.environ,
        "PATH": f"{find_redis_server().parent}:{os.environ['PATH']}",
        "REDISCLI_AUTH": password,
    }
    with subprocess.Popen((*command, "--unixsocket", str(folder / "redis")), env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def _answers(folder: Path, password: str | None) -> bool:
    client = redis.Redis(unix_socket_path=str(folder / "redis"), password=password)
    for _ in range(100):
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return False
        except redis.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("no Redis")


@pytest.mark.parametrize("password", ["plain", 'with "quotes" and \\', "a$b`c`#%s"])
def test_redis_takes_any_password_and_asks_for_it(password: str) -> None:
    with socket_folder() as folder, own_redis(folder, password) as process:
        assert _answers(folder, password)
        assert not _answers(folder, None)
        assert password not in Path(f"/proc/{process.pid}/cmdline").read_text()


def test_redis_without_a_password_ends_when_it_is_told_to() -> None:
    """It is the container's first process itself: a shell before it would keep the signal."""
    with socket_folder() as folder, own_redis(folder, "") as process:
        assert _answers(folder, None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def redis_with_tls(helm: Helm) -> Object:
    """The container of an own Redis that speaks TLS."""
    values = {"tls": {"enabled": True, "existingSecret": "a"}, "redis": {"tls": True, "existingSecret": "b"}}
    pod = named(helm.objects(values), "Deployment", "splitwiser-redis")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return dict(container)


def test_redis_is_told_again_and_again_which_certificate_it_serves(redis_with_tls: Object) -> None:
    arguments = redis_with_tls["args"]
    served = arguments[arguments.index("--tls-cert-file") + 1]
    command = redis_with_tls["livenessProbe"]["exec"]["command"]
    assert command == ["redis-cli", "--tls", "--insecure", "config", "set", "tls-cert-file", served]
    assert [one["name"] for one in redis_with_tls["env"]] == ["REDISCLI_AUTH"]


def _speaks_tls(client: Path) -> bool:
    return "--tls " in subprocess.run((client, "--help"), capture_output=True, text=True, check=False).stdout


def test_redis_so_serves_a_renewed_certificate(redis_with_tls: Object, tmp_path: Path) -> None:
    client, port, secret = find_redis_server().with_name("redis-cli"), str(free_port()), tmp_path / "tls"
    if not _speaks_tls(client):
        pytest.skip("this Redis speaks no TLS")

    def here(arguments: list[str]) -> list[str]:
        return [port if one == "6379" else one.replace(TLS, str(secret)) for one in arguments]

    def served() -> str:
        return ssl.get_server_certificate(("127.0.0.1", int(port)))

    write_secret(secret)
    probe = redis_with_tls["livenessProbe"]["exec"]["command"]
    with socket_folder() as folder, own_redis(folder, "secret", *here(redis_with_tls["args"])):
        assert _answers(folder, "secret")
        before = served()
        write_secret(secret)
        assert served() == before
        subprocess.run(
            (client, "-p", port, *here(probe[1:])), env={**os.environ, "REDISCLI_AUTH": "secret"}, check=True
        )
        assert served() != before


def test_the_store_waits_for_the_workers_of_its_pod(tmp_path: Path) -> None:
    """On a folder in place of /proc: here are more processes than in a pod."""
    worker = tmp_path / "7" / "cmdline"
    worker.parent.mkdir()
    worker.write_bytes(b"python\0-m\0services.decode\0--instance=a\0")
    script = (FILES / "await_workers.py").read_text().replace("/proc", str(tmp_path))
    with subprocess.Popen((sys.executable, "-c", script)) as waiting:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(timeout=1.5)
            worker.unlink()
            assert waiting.wait(timeout=60) == 0
        finally:
            waiting.kill()
