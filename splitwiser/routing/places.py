"""Owns who runs where: the places of each worker, and the bounded line of requests that wait for one."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Generic, TypeVar

from splitwiser.errors import Overloaded
from splitwiser.routing.policy import Policy
from splitwiser.routing.request import RoutedRequest

EWMA_WEIGHT = 0.1


class Seats:
    """A worker as the line sees it: how much it has, how much it may have, and whether it takes anything now."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.in_flight = 0
        self.available = False
        self._dismissed = False
        self._moved = asyncio.Event()

    @property
    def has_room(self) -> bool:
        return self.is_open and self.in_flight < self.capacity

    @property
    def is_open(self) -> bool:
        """Whether it takes requests at all now."""
        return self.available and not self._dismissed

    def take(self) -> None:
        """A request sits down."""
        self.in_flight += 1

    def leave(self) -> None:
        """A request has left."""
        self.in_flight -= 1
        self._moved.set()

    def dismiss(self) -> None:
        """Give it nothing more, for good."""
        self._dismissed = True
        self._moved.set()

    async def gone(self) -> None:
        """Return when it is dismissed and its last request has left."""
        while self.in_flight or not self._dismissed:
            self._moved.clear()
            await self._moved.wait()


Worker = TypeVar("Worker", bound=Seats)


class Places(Generic[Worker]):
    """Seats requests at workers, least loaded first. Requests that find no place wait in the policy's order."""

    def __init__(self, policy: Policy, max_waiting: int | None) -> None:
        """max_waiting None: the line has no bound of its own."""
        self._workers: list[Worker] = []
        self._policy = policy
        self._max_waiting = max_waiting
        self._line: list[tuple[bool, int, int, asyncio.Future[Worker]]] = []
        self._arrivals = count()
        self._mean_stay_s = 0.1

    @property
    def waiting_count(self) -> int:
        return len(self._line)

    @property
    def in_flight_count(self) -> int:
        return sum(worker.in_flight for worker in self._workers)

    @property
    def any_available(self) -> bool:
        return any(worker.is_open for worker in self._workers)

    def add(self, worker: Worker) -> None:
        """Seat requests at this worker too, once it is available."""
        self._workers.append(worker)
        self.serve_line()

    def remove(self, worker: Worker) -> None:
        """Forget a worker."""
        self._workers.remove(worker)

    @asynccontextmanager
    async def place(self, request: RoutedRequest, *, admitted: bool = False) -> AsyncIterator[Worker]:
        """Hold one place at a worker for the length of the block. Raises Overloaded at once when the line is full.

        admitted: the request had a place before and lost its worker: it is not turned away, and is next in line.
        """
        worker = await self._seat(request, admitted)
        seated_s = asyncio.get_running_loop().time()
        try:
            yield worker
        finally:
            stay_s = asyncio.get_running_loop().time() - seated_s
            self._mean_stay_s += EWMA_WEIGHT * (stay_s - self._mean_stay_s)
            self._leave(worker)

    def serve_line(self) -> None:
        """Seat whoever can be seated; call when a worker becomes available."""
        while self._line and (worker := self._least_loaded()):
            *_, future = heapq.heappop(self._line)
            # Cancelled between its caller's cancellation and the moment the caller runs.
            if not future.done():
                worker.take()
                future.set_result(worker)

    async def _seat(self, request: RoutedRequest, admitted: bool) -> Worker:
        if self._max_waiting is not None and self.waiting_count >= self._max_waiting and not admitted:
            raise Overloaded(
                f"{self._max_waiting} requests are waiting",
                help="wait as long as RetryInfo or Retry-After says, then try again; or raise router.max_queue",
                retry_after_s=self._retry_after_s(self._max_waiting),
            )
        future: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, (not admitted, self._policy(request), next(self._arrivals), future))
        self.serve_line()
        try:
            return await future
        except asyncio.CancelledError:
            if future.cancelled():
                self._line = [entry for entry in self._line if entry[3] is not future]
                heapq.heapify(self._line)
            else:
                self._leave(future.result())
            raise

    def _leave(self, worker: Worker) -> None:
        worker.leave()
        self.serve_line()

    def _least_loaded(self) -> Worker | None:
        free = [worker for worker in self._workers if worker.has_room]
        return min(free, key=lambda worker: worker.in_flight / worker.capacity, default=None)

    def _retry_after_s(self, waiting: int) -> float:
        capacity = sum(worker.capacity for worker in self._workers if worker.is_open) or 1
        return max(0.1, self._mean_stay_s * waiting / capacity)
