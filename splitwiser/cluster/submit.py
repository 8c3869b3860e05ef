"""Owns a submitted experiment from its Job to its log: made, followed, read to the end, and deleted in any case."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from splitwiser.cluster.api import Cluster
from splitwiser.cluster.job import CONTAINER
from splitwiser.cluster.pod_state import Phase, PodState, read_state
from splitwiser.errors import SplitwiserError, StartupError

POLL_S = 0.5
SILENCE_S = 60.0
"""How long the API server may be away. The Job runs on meanwhile; whoever gives up deletes it."""
ENDED = (Phase.SUCCEEDED, Phase.FAILED)

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


class Watcher(Protocol):
    """Is told how it goes."""

    def state(self, words: str) -> None: ...
    def line(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """A Job that ran to its end, and the whole log of its pod."""

    job: str
    state: PodState
    log: str


class Submission:
    """One Job. start_timeout_s: how long its pod may wait to run; keep: leave the Job when it has ended."""

    def __init__(self, cluster: Cluster, watcher: Watcher, *, start_timeout_s: float, keep: bool = False) -> None:
        self._cluster = cluster
        self._watcher = watcher
        self._start_timeout_s = start_timeout_s
        self._keep = keep

    async def run(self, job: dict[str, Any]) -> Ended:
        """Create the Job and return when its pod has ended, well or not. Raises StartupError when it cannot start.

        Unless it is to be kept the Job is deleted at the end; cancelled, it always is.
        """
        keep, creating = False, asyncio.create_task(self._cluster.create(job))
        try:
            name = await asyncio.shield(creating)
            self._watcher.state(f"job {name} created in {self._cluster.namespace}")
            ended = await self._ended(name)
            keep = self._keep
            return ended
        finally:
            if not keep:
                await asyncio.shield(self._delete(creating))

    async def _ended(self, name: str) -> Ended:
        shown, said = 0, ""
        give_up_s = asyncio.get_running_loop().time() + self._start_timeout_s
        while True:
            pod = await self._patiently(lambda: self._cluster.pod(name))
            state = read_state(pod) if pod else await self._without_pod(name)
            if pod and state.phase in ENDED:
                return Ended(name, state, await self._log_of(pod, state))
            if state.cause != said:
                said = state.cause
                self._watcher.state(said or "running")
            if pod and state.phase is Phase.RUNNING:
                shown = await self._show(pod["metadata"]["name"], shown)
            elif state.hopeless or asyncio.get_running_loop().time() > give_up_s:
                raise _not_started(name, state, self._start_timeout_s)
            await asyncio.sleep(POLL_S)

    async def _without_pod(self, name: str) -> PodState:
        job = await self._patiently(lambda: self._cluster.job(name))
        for condition in job.get("status", {}).get("conditions", ()):
            if condition.get("type") == "Failed" and condition.get("status") == "True":
                raise StartupError(
                    f"job {name} failed: {condition.get('message', condition.get('reason', ''))}",
                    help="see `kubectl describe job`, or raise --deadline",
                )
        return PodState(Phase.WAITING, "no pod yet")

    async def _log_of(self, pod: dict[str, Any], state: PodState) -> str:
        try:
            return await self._patiently(lambda: self._cluster.log(pod["metadata"]["name"], CONTAINER))
        except SplitwiserError:
            # A pod that was evicted has none.
            if state.phase is Phase.FAILED:
                return ""
            raise

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What the cluster answers, asked again while nobody does."""
        give_up_s = asyncio.get_running_loop().time() + SILENCE_S
        while True:
            try:
                return await ask()
            except StartupError:
                if asyncio.get_running_loop().time() > give_up_s:
                    raise
            await asyncio.sleep(POLL_S)

    async def _show(self, pod: str, shown: int) -> int:
        """Tell what the container says until it ends or the connection does; returns how many lines it has said."""
        count = 0
        with suppress(StartupError):
            async for line in self._cluster.lines(pod, CONTAINER):
                count += 1
                if count > shown:
                    self._watcher.line(line)
        return max(count, shown)

    async def _delete(self, creating: "asyncio.Task[str]") -> None:
        """Also a Job that the cluster may have, and has not said so yet."""
        await asyncio.wait({creating})
        if creating.exception():
            return
        name = creating.result()
        try:
            await self._cluster.delete(name)
        except SplitwiserError as error:
            _log.warning("job %s is left: %s; kubectl delete job %s", name, error.cause, name)
        else:
            self._watcher.state(f"job {name} deleted")


def _not_started(name: str, state: PodState, timeout_s: float) -> StartupError:
    if state.hopeless:
        return StartupError(
            f"the pod of job {name} cannot start: {state.cause}",
            help="name an --image that the node has or can pull; `kubectl describe pod` tells more",
        )
    return StartupError(
        f"the pod of job {name} did not run within {timeout_s:g} s: {state.cause}",
        help="free what it waits for, or give it longer with --start-timeout; `kubectl describe job` tells more",
    )
