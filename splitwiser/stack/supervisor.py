"""Owns the running children of a stack: starts them, waits until they are ready, brings dead ones back, stops all."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from splitwiser.errors import ConfigurationError, RegistryUnavailable, SplitwiserError, StartupError, StoreLost
from splitwiser.stack.process import Process, child_environment
from splitwiser.stack.run_dir import RunDir
from splitwiser.stack.services import ServiceSpec, Tier

POLL_S = 0.05
FIRST_BACKOFF_S = 0.1
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
    """What is known of one service. pid 0 and address "" mean that there is none now."""

    instance: str
    service: str
    state: State = State.STARTING
    pid: int = 0
    address: str = ""
    restarts: int = 0


class Supervisor:
    """The children of one stack. on_change is told of every change, on the event loop."""

    def __init__(
        self,
        run_dir: RunDir,
        *,
        start_timeout_s: float,
        stop_timeout_s: float,
        on_change: Callable[[ServiceStatus], None],
    ) -> None:
        self._run_dir = run_dir
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._on_change = on_change
        self._children: dict[str, tuple[ServiceSpec, Process]] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._status: dict[str, ServiceStatus] = {}
        self._broken = asyncio.Event()
        self._failure: SplitwiserError | None = None

    @property
    def status(self) -> Mapping[str, ServiceStatus]:
        """Every service by instance, in the order of their start."""
        return self._status

    async def start(self, specs: Sequence[ServiceSpec]) -> None:
        """Start these services side by side and wait until all are ready. Raises the first failure."""
        try:
            async with asyncio.TaskGroup() as group:
                for spec in specs:
                    group.create_task(self._start(spec))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        self._keepers += [asyncio.create_task(self._keep(spec)) for spec in specs]

    async def wait(self) -> None:
        """Wait until the stack cannot go on, and raise why."""
        await self._broken.wait()
        assert self._failure is not None
        raise self._failure

    async def stop(self) -> None:
        """Stop every child, the highest tier first, and return when none is left. Cancelled, it kills undrained."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        ordered = sorted(self._children.values(), key=lambda child: -child[0].tier)
        try:
            for _, tier in groupby(ordered, key=lambda child: child[0].tier):
                await asyncio.gather(*(self._stop(spec, process) for spec, process in tier))
        finally:
            for _, process in ordered:
                process.kill()

    async def _start(self, spec: ServiceSpec) -> None:
        status = self._status.get(spec.instance, ServiceStatus(spec.instance, spec.service))
        process = await Process.start(spec.command, self._run_dir.log(spec.instance), child_environment())
        self._children[spec.instance] = (spec, process)
        self._tell(replace(status, state=State.STARTING, pid=process.pid, address=""))
        try:
            async with asyncio.timeout(self._start_timeout_s):
                address = await _ready(spec, process)
        except TimeoutError:
            raise self._not_ready(spec, process, f"was not ready after {self._start_timeout_s:g} s") from None
        if not address:
            raise self._not_ready(spec, process, f"ended with {_ending(process)} before it was ready")
        self._tell(replace(self._status[spec.instance], state=State.READY, address=address))

    async def _keep(self, spec: ServiceSpec) -> None:
        """Bring the service back whenever it ends; give the stack up if it may not come back alone."""
        clock = asyncio.get_running_loop().time
        backoff_s = FIRST_BACKOFF_S
        while True:
            started_s = clock()
            _, process = self._children[spec.instance]
            await process.wait()
            if not spec.restarts:
                self._give_up(spec, process)
                return
            backoff_s = FIRST_BACKOFF_S if clock() - started_s > STEADY_S else min(backoff_s * 2, MAX_BACKOFF_S)
            await self._restart(spec, process, backoff_s)

    async def _restart(self, spec: ServiceSpec, process: Process, backoff_s: float) -> None:
        status = self._status[spec.instance]
        self._tell(replace(status, state=State.WAITING, pid=0, address="", restarts=status.restarts + 1))
        await asyncio.sleep(backoff_s)
        try:
            await self._start(spec)
        except SplitwiserError:
            # Its log tells why; the next turn waits longer. One that hangs must end first.
            await self._children[spec.instance][1].stop(self._stop_timeout_s)

    def _give_up(self, spec: ServiceSpec, process: Process) -> None:
        error = StoreLost if spec.tier is Tier.STORE else RegistryUnavailable
        cause = f"the {spec.service} ended with {_ending(process)}{_indented(process.log_tail())}"
        self._tell(replace(self._status[spec.instance], state=State.STOPPED, pid=0, address=""))
        self._failure = error(cause, help="start the stack again; its workers cannot go on without it")
        self._broken.set()

    async def _stop(self, spec: ServiceSpec, process: Process) -> None:
        if process.exit_code is None:
            self._tell(replace(self._status[spec.instance], state=State.STOPPING))
        await process.stop(self._stop_timeout_s)
        self._tell(replace(self._status[spec.instance], state=State.STOPPED, pid=0, address=""))

    def _not_ready(self, spec: ServiceSpec, process: Process, what: str) -> SplitwiserError:
        error = ConfigurationError if process.exit_code == 2 else StartupError
        log = self._run_dir.log(spec.instance)
        return error(f"{spec.instance} {what}{_indented(process.log_tail())}", help=f"the whole log is {log}")

    def _tell(self, status: ServiceStatus) -> None:
        self._status[status.instance] = status
        self._on_change(status)


async def _ready(spec: ServiceSpec, process: Process) -> str:
    """The service's address once it is ready; empty if it ended before."""
    while process.exit_code is None:
        address = await spec.probe(process.pid)
        if address:
            return address
        await asyncio.sleep(POLL_S)
    return ""


def _ending(process: Process) -> str:
    code = process.exit_code or 0
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _indented(text: str) -> str:
    return "".join(f"\n    {line}" for line in text.splitlines())
