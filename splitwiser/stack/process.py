"""Owns one child process: its start on a leash, its log, its end. Signals go to its process id alone."""

import asyncio
import fcntl
import os
import signal
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_LEASH = Path(__file__).with_name("leash.py")
TAIL_LINES = 20
GO_ON = b"take over\n"
"""The word to a process that waits, on its standard input."""
_UNTIL_IT_WAITS = b"\n"
"""Lies on its standard input until it waits there."""
_TAIL_BYTES = 16_384


class Process:
    """A started child. It has a session of its own, so a Ctrl-C in the terminal reaches only whoever started it."""

    def __init__(self, child: asyncio.subprocess.Process, log: Path, log_start: int) -> None:
        self._child = child
        self._log = log
        self._log_start = log_start

    @classmethod
    async def start(
        cls, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, *, waits: bool = False
    ) -> "Process":
        """Start command with output and errors appended to log, and environment on top of this process's own.

        waits: it goes on when it is told to.
        """
        with log.open("ab") as output:
            start = output.tell()
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-IS", str(_LEASH), str(os.getpid()), *command),
                stdin=asyncio.subprocess.PIPE if waits else asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment() | dict(environment or {}),
                start_new_session=True,
            )
        if child.stdin:
            child.stdin.write(_UNTIL_IT_WAITS)
        return cls(child, log, start)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._child.returncode

    @property
    def is_waiting(self) -> bool:
        """Whether it waits on its standard input now, as a spare does that is past its imports."""
        if not self._child.stdin or self._child.stdin.is_closing():
            return False
        unread = fcntl.ioctl(self._child.stdin.get_extra_info("pipe"), termios.FIONREAD, bytes(4))
        return not any(unread)

    def go_on(self) -> None:
        """Tell a process that waits to go on; what it logs counts from here."""
        assert self._child.stdin
        self._log_start = self._log.stat().st_size
        self._child.stdin.write(GO_ON)
        self._child.stdin.close()

    async def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        return await self._child.wait()

    async def finish(self) -> int:
        """Wait for its end, as wait does; if this wait is cancelled, the process is gone."""
        try:
            return await self._child.wait()
        finally:
            await self.end()

    async def stop(self, timeout_s: float) -> None:
        """Ask it to drain and leave; kill it if it has not after timeout_s, or at once if this wait is cancelled."""
        try:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._child.wait()
        finally:
            await self.end()

    async def end(self) -> None:
        """Kill it, if it still runs, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        await self._child.wait()

    @property
    def ending(self) -> str:
        """How it ended: exit code 1, or signal 9."""
        code = self.exit_code or 0
        return f"exit code {code}" if code >= 0 else f"signal {-code}"

    def log_tail(self) -> str:
        """The last lines that this process logged, each on a line of its own below what stands in front."""
        with self._log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "".join(f"\n    {line}" for line in text.splitlines()[-TAIL_LINES:])

    def _signal(self, number: int) -> None:
        if self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.send_signal(number)


def _environment() -> dict[str, str]:
    """Without the settings' variables: they had their say in resolved.json, where a flag may have overruled them."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("SPLITWISER_")}
    return kept | {"PYTHONUNBUFFERED": "1"}
