"""The scripts of charts/files, run as their containers run them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from splitwiser.stack.redis_server import find_redis_server
from tests.support.helm import CHART
from tests.support.sockets import socket_folder

FILES = CHART / "files"


@contextmanager
def own_redis(folder: Path, password: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Redis as the chart starts it, on a socket in the folder."""
    command = ("sh", "-c", (FILES / "redis.sh").read_text(), "redis", "--port", "0", "--save", "")
    environment = {
        **os.environ,
        "PATH": f"{find_redis_server().parent}:{os.environ['PATH']}",
        "REDIS_PASSWORD": password,
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
