"""Owns the workers of one phase as they come and go: a new one is followed and seated at, one that is no longer found
gets nothing new and stays until its last request has left it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from splitwiser.routing.discovery import Discovery, Endpoint, Name, Resolve, resolve
from splitwiser.routing.places import Places
from splitwiser.routing.tasks import cancel_and_wait
from splitwiser.routing.workers import Worker

Hired = TypeVar("Hired", bound=Worker)

_log = logging.getLogger(__name__)


class Crew(Generic[Hired]):
    """Keeps places filled with the workers that the targets stand for. hire makes the worker of an endpoint."""

    def __init__(
        self,
        targets: Sequence[Endpoint | Name],
        places: Places[Hired],
        hire: Callable[[Endpoint], Hired],
        *,
        resolve_every_s: float,
        resolve: Resolve = resolve,
    ) -> None:
        names = [target for target in targets if isinstance(target, Name)]
        self._fixed = frozenset(target for target in targets if isinstance(target, Endpoint))
        self._discoveries = {name: Discovery(name, resolve_every_s, resolve) for name in names}
        self._found: dict[Name, frozenset[Endpoint]] = {}
        self._places = places
        self._hire = hire
        self._workers: dict[Endpoint, Hired] = {}
        self._group: asyncio.TaskGroup | None = None

    def ask_now(self) -> None:
        """A worker was lost: see whether it is still to be found."""
        for discovery in self._discoveries.values():
            discovery.ask_now()

    async def watch(self) -> None:
        """Follow names and workers until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            self._follow()
            for name, discovery in self._discoveries.items():
                self._group.create_task(discovery.run(partial(self._tell, name)))

    def renew(self) -> None:
        """Hire all anew; those of now go when their last request has left."""
        for worker in self._workers.values():
            worker.dismiss()
        self._workers.clear()
        self._follow()

    def _tell(self, name: Name, found: frozenset[Endpoint]) -> None:
        self._found[name] = found
        self._follow()

    def _follow(self) -> None:
        assert self._group is not None, "the crew is watched"
        wanted = self._fixed.union(*self._found.values())
        for endpoint in self._workers.keys() - wanted:
            _log.info("worker %s is found no more", endpoint.address)
            self._workers.pop(endpoint).dismiss()
        for endpoint in wanted - self._workers.keys():
            _log.info("worker %s found", endpoint.address)
            # One that comes back while its last requests still run is hired anew beside them.
            worker = self._workers[endpoint] = self._hire(endpoint)
            self._group.create_task(self._employ(worker))

    async def _employ(self, worker: Hired) -> None:
        """Seat requests at the worker until it is dismissed and the last of them has left."""
        watching, leaving = asyncio.create_task(worker.watch()), asyncio.create_task(worker.gone())
        self._places.add(worker)
        try:
            await asyncio.wait({watching, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
        finally:
            self._places.remove(worker)
            await cancel_and_wait(leaving)
            await cancel_and_wait(watching)
