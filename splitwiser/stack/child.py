"""Owns one service over all its processes: started until ready, started again when it dies, stopped."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from splitwiser.errors import ConfigurationError, RegistryUnavailable, SplitwiserError, StartupError, StoreLost
from splitwiser.stack.process import Process
from splitwiser.stack.run_dir import RunDir
from splitwiser.stack.services import ServiceSpec, Tier

POLL_S = 0.05
FIRST_BACKOFF_S = 0.1
"""Before the next start of one that ended soon; twice as long each time. One that was steady starts again at once."""
MAX_BACKOFF_S = 10.0
STEADY_S = 30.0
"""A service that lived this long starts again without waiting longer than the first time."""


class State(StrEnum):
    """Where a service is in its life."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting to restart"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What is known of one service. pid and spare_pid 0 and address "" mean that there is none now."""

    instance: str
    service: str
    state: State = State.STARTING
    pid: int = 0
    address: str = ""
    restarts: int = 0
    spare_pid: int = 0


class Child:
    """One service. on_change is told of every change of its status, on the event loop."""

    def __init__(
        self,
        spec: ServiceSpec,
        run_dir: RunDir,
        *,
        start_timeout_s: float,
        stop_timeout_s: float,
        on_change: Callable[[ServiceStatus], None],
    ) -> None:
        self.spec = spec
        self.status = ServiceStatus(spec.instance, spec.service)
        self._log = run_dir.log(spec.instance)
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._on_change = on_change
        self._process: Process | None = None
        self._spare: Process | None = None

    @property
    def is_prepared(self) -> bool:
        """Whether it is ready, and its spare, if the service has any, ready to take over."""
        has_spare = self._spare is not None and self._spare.is_waiting
        return self.status.state is State.READY and (has_spare or not self.spec.has_spare)

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises StartupError with the end of its log when it is not."""
        process = self._process = await self._next_process()
        self._change(state=State.STARTING, pid=process.pid)
        try:
            async with asyncio.timeout(self._start_timeout_s):
                address = await self._ready(process)
        except TimeoutError:
            raise self._not_ready(process, f"was not ready after {self._start_timeout_s:g} s") from None
        if not address:
            raise self._not_ready(process, f"ended with {process.ending} before it was ready")
        self._change(state=State.READY, pid=process.pid, address=address)

    async def keep(self) -> None:
        """Start it again whenever it ends. Raises StoreLost or RegistryUnavailable if it may not come back alone."""
        clock = asyncio.get_running_loop().time
        failures = 0
        while True:
            started_s = clock()
            await self._stand_by()
            assert self._process is not None
            await self._process.wait()
            if not self.spec.restarts:
                self._change(state=State.STOPPED)
                raise self._lost(self._process)
            failures = 0 if clock() - started_s > STEADY_S else failures + 1
            await self._restart(min(FIRST_BACKOFF_S * 2 ** (failures - 1), MAX_BACKOFF_S) if failures else 0.0)

    async def stop(self) -> None:
        """Let it drain, then end it. Cancelled, it ends undrained."""
        if self._spare:
            await self._spare.end()
        if self._process is None:
            return
        if self._process.exit_code is None:
            self._change(state=State.STOPPING, pid=self._process.pid)
        await self._process.stop(self._stop_timeout_s)
        self._change(state=State.STOPPED)

    async def end(self) -> None:
        """Kill what still runs of it, and wait until it is gone."""
        for process in (self._process, self._spare):
            if process:
                await process.end()

    async def _stand_by(self) -> None:
        """Have a spare ready for the process's end, if the service has any and the process is ready."""
        if self.spec.has_spare and self.status.state is State.READY:
            command, environment = self.spec.spare_command, self.spec.environment
            with suppress(OSError):
                self._spare = await Process.start(command, self._log, environment, waits=True)
                self.status = replace(self.status, spare_pid=self._spare.pid)

    async def _next_process(self) -> Process:
        spare, self._spare = self._spare, None
        self.status = replace(self.status, spare_pid=0)
        if spare is None or spare.exit_code is not None:
            return await Process.start(self.spec.command, self._log, self.spec.environment)
        spare.go_on()
        return spare

    async def _ready(self, process: Process) -> str:
        """Its address once it is ready; empty if it ended before."""
        while process.exit_code is None:
            address = await self.spec.probe(process.pid)
            if address:
                return address
            await asyncio.sleep(POLL_S)
        return ""

    async def _restart(self, backoff_s: float) -> None:
        self.status = replace(self.status, restarts=self.status.restarts + 1)
        self._change(state=State.WAITING)
        await asyncio.sleep(backoff_s)
        try:
            await self.start()
        except SplitwiserError:
            # Its log tells why, and the next turn waits longer; one that hangs must end first.
            await self.stop()

    def _not_ready(self, process: Process, what: str) -> SplitwiserError:
        error = ConfigurationError if process.exit_code == 2 else StartupError
        return error(f"{self.spec.instance} {what}{process.log_tail()}", help=f"the whole log is {self._log}")

    def _lost(self, process: Process) -> SplitwiserError:
        error = StoreLost if self.spec.tier is Tier.STORE else RegistryUnavailable
        cause = f"the {self.spec.service} ended with {process.ending}{process.log_tail()}"
        return error(cause, help="start the stack again; its workers cannot go on without it")

    def _change(self, *, state: State, pid: int = 0, address: str = "") -> None:
        self.status = replace(self.status, state=state, pid=pid, address=address)
        self._on_change(self.status)
