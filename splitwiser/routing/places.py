"""Owns who runs where: the places of each worker, and the bounded line of requests that wait for one."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, eq=False)
class Waiting(Generic[Worker]):
    """A request in the line, and the seat that it will get."""

    request: RoutedRequest
    admitted: bool
    arrival: int
    since_s: float
    seat: asyncio.Future[Worker]


class Places(Generic[Worker]):
    """Seats requests at workers, least loaded first. Requests that find no place wait in the policy's order."""

    def __init__(self, policy: Policy, max_waiting: int | None) -> None:
        """max_waiting None: the line has no bound of its own."""
        self._workers: list[Worker] = []
        self._policy = policy
        self._max_waiting = max_waiting
        self._line: list[tuple[bool, int, int, Waiting[Worker]]] = []
        self._arrivals = count()
        self._mean_stay_s = self._mean_ttft_s = 0.1

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

    def first_token(self, ttft_s: float) -> None:
        """A request had its first token so long after it sat down. It may stay on, and wait for the other phase."""
        self._mean_ttft_s += EWMA_WEIGHT * (ttft_s - self._mean_ttft_s)

    def serve_line(self) -> None:
        """Seat whoever can be seated; call when a worker becomes available."""
        while self._line and (worker := self._least_loaded()):
            seat = self._next().seat
            # Cancelled between its caller's cancellation and the moment the caller runs.
            if not seat.done():
                worker.take()
                seat.set_result(worker)

    async def _seat(self, request: RoutedRequest, admitted: bool) -> Worker:
        if self._max_waiting is not None and self.waiting_count >= self._max_waiting and not admitted:
            raise Overloaded(
                f"{self._max_waiting} requests are waiting",
                help="wait as long as RetryInfo or Retry-After says, then try again; or raise router.max_queue",
                retry_after_s=self._retry_after_s(self._max_waiting),
            )
        loop = asyncio.get_running_loop()
        seat: asyncio.Future[Worker] = loop.create_future()
        waiting = Waiting(request, admitted, next(self._arrivals), loop.time(), seat)
        heapq.heappush(self._line, self._entry(waiting, loop.time()))
        self.serve_line()
        try:
            return await seat
        except asyncio.CancelledError:
            if seat.cancelled():
                self._line = [entry for entry in self._line if entry[3] is not waiting]
                heapq.heapify(self._line)
            else:
                self._leave(seat.result())
            raise

    def _entry(self, waiting: Waiting[Worker], now_s: float) -> tuple[bool, int, int, Waiting[Worker]]:
        rank = self._policy(waiting.request, now_s - waiting.since_s + self._mean_ttft_s)
        return not waiting.admitted, rank, waiting.arrival, waiting

    def _next(self) -> Waiting[Worker]:
        """Take the first out of the line. One whose rank has changed in the line goes where it belongs now."""
        now_s = asyncio.get_running_loop().time()
        while (entry := self._entry(self._line[0][3], now_s)) != self._line[0]:
            heapq.heapreplace(self._line, entry)
        return heapq.heappop(self._line)[3]

    def _leave(self, worker: Worker) -> None:
        worker.leave()
        self.serve_line()

    def _least_loaded(self) -> Worker | None:
        free = [worker for worker in self._workers if worker.has_room]
        return min(free, key=lambda worker: worker.in_flight / worker.capacity, default=None)

    def _retry_after_s(self, waiting: int) -> float:
        capacity = sum(worker.capacity for worker in self._workers if worker.is_open) or 1
        return max(0.1, self._mean_stay_s * waiting / capacity)
