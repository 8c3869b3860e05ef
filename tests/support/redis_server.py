"""Owns a real Redis for tests, of its own folder and unix socket, which a test may stop, pause or end."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splitwiser.stack.redis_server import find_redis_server, is_answering, redis_command, redis_url
from tests.support.sockets import socket_folder

START_TIMEOUT_S = 60.0


class RedisServer:
    """One redis-server process."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self.url = redis_url(self._socket)
        self.start()

    def start(self) -> None:
        """Start, empty, and wait until it answers."""
        command = redis_command(find_redis_server(), self._socket)
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while not asyncio.run(is_answering(self._socket)):
            assert time.monotonic() < give_up_s, "redis-server does not answer"
            time.sleep(0.01)

    def pause(self) -> None:
        """Hang: connections are accepted by the kernel and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill: connections are refused, and everything is forgotten."""
        self._process.kill()
        self._process.wait()


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A server for the length of the block."""
    with socket_folder() as folder:
        server = RedisServer(folder)
        try:
            yield server
        finally:
            server.end()
