"""Owns the names of everything in a stack's folder, its lock, and clearing what a killed stack left there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from splitwiser.errors import StartupError

_INSTANCES = ("redis", "store", "store-health", "router-health", "prefill-*", "decode-*", "single", "router")


@dataclass(frozen=True, slots=True)
class RunDir:
    """One stack's folder. root is absolute: services and tools may run elsewhere."""

    root: Path

    @property
    def resolved(self) -> Path:
        """The settings as every service of this stack reads them."""
        return self.root / "resolved.json"

    @property
    def redis_socket(self) -> Path:
        return self.root / "redis.sock"

    @property
    def store_health(self) -> Path:
        """Where the store answers health checks."""
        return self.root / "store-health.sock"

    @property
    def router_health(self) -> Path:
        """Where the router answers them without TLS."""
        return self.root / "router-health.sock"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def mps(self) -> Path:
        """Where the stack's own MPS daemon lives."""
        return self.root / "mps"

    def socket(self, instance: str) -> Path:
        """Where a local worker listens."""
        return self.root / f"{instance}.sock"

    def log(self, instance: str) -> Path:
        """Output and errors of one service."""
        return self.root / "logs" / f"{instance}.log"

    def make(self) -> None:
        """Create the folder for this user alone. StartupError when that cannot be."""
        try:
            self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
            for name in ("logs", "services", "timeline"):
                (self.root / name).mkdir(mode=0o750, exist_ok=True)
        except OSError as error:
            raise _unusable(self.root, error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one live stack. StartupError when another one holds it."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise _unusable(self.root, error) from error
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            raise StartupError(
                f"{self.root} is in use by a live stack of process {owner}",
                help="stop that one first, or give this one another --run-dir",
                field="run_dir",
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())

    def write_resolved(self, text: str) -> None:
        """Write resolved.json for this user alone: a Redis URL may hold a password."""
        self.resolved.unlink(missing_ok=True)
        with os.fdopen(os.open(self.resolved, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)

    def clear(self) -> None:
        """Remove what only a live stack needs: sockets and cards. Call with the lock held."""
        self._remove(self.root, "sock")
        self._remove(self.root / "services", "json")

    def forget(self) -> None:
        """Remove the last stack's logs and timeline, so that a new one's do not mix in. Call with the lock held."""
        self._remove(self.root / "logs", "log")
        self._remove(self.root / "timeline", "jsonl")

    @staticmethod
    def _remove(folder: Path, suffix: str) -> None:
        """The services' own files alone: the folder may be somebody's /tmp."""
        for pattern in _INSTANCES:
            for path in folder.glob(f"{pattern}.{suffix}"):
                path.unlink(missing_ok=True)


def _unusable(root: Path, error: OSError) -> StartupError:
    return StartupError(
        f"cannot use {root}: {error.strerror}",
        help="name a folder with --run-dir that you may write to",
        field="run_dir",
    )
