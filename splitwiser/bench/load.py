"""Owns open-loop load: requests go out when the workload says, whether or not earlier ones have come back.

A closed loop (send when one finishes) slows down with the server and hides its queue; an open loop does not. What it
needs in return is a generator that is on time itself, so every record says how late it was sent.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from splitwiser.bench.records import OK, Arrived, Outcome, RequestRecord
from splitwiser.bench.workload import PlannedRequest, Workload
from splitwiser.errors import SplitwiserError
from splitwiser.v1 import inference_pb2, sampling_pb2

Answer = AsyncGenerator[inference_pb2.GenerateResponse, None]
Send = Callable[[inference_pb2.GenerateRequest], Answer]
Build = Callable[[int, PlannedRequest], inference_pb2.GenerateRequest]


class LoadObserver(Protocol):
    """Told of a run as it goes, on its event loop, so must not block: a progress bar, a terminal with the text."""

    def on_planned(self, requests: int) -> None: ...

    def on_sent(self, index: int) -> None: ...

    def on_message(self, index: int, message: inference_pb2.GenerateResponse) -> None: ...

    def on_finished(self, record: RequestRecord) -> None: ...


class Silent:
    """An observer that looks away."""

    def on_planned(self, requests: int) -> None:
        pass

    def on_sent(self, index: int) -> None:
        pass

    def on_message(self, index: int, message: inference_pb2.GenerateResponse) -> None:
        pass

    def on_finished(self, record: RequestRecord) -> None:
        pass


class LoadRun:
    """One run of a workload. send opens a request's answer (Client.generate), build makes the request."""

    def __init__(self, send: Send, build: Build, observer: LoadObserver | None = None) -> None:
        self._send = send
        self._build = build
        self._observer = observer or Silent()
        self._start_s = 0.0

    async def run(self, workload: Workload) -> Sequence[RequestRecord]:
        """Send everything on time and wait for all answers. Cancelling cancels every request in flight.

        Requests are built before the clock starts: making up a long prompt takes milliseconds.
        """
        requests = [(index, planned, self._build(index, planned)) for index, planned in enumerate(workload)]
        self._observer.on_planned(len(requests))
        self._start_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for index, planned, request in requests:
                # Also yields when it is late, or nothing would be received while it catches up.
                await asyncio.sleep(planned.arrival_s - self._now_s())
                tasks.append(group.create_task(self._request(index, planned, request)))
        return [task.result() for task in tasks]

    def _now_s(self) -> float:
        return time.perf_counter() - self._start_s

    async def _request(
        self, index: int, planned: PlannedRequest, request: inference_pb2.GenerateRequest
    ) -> RequestRecord:
        noted = _Noted(sent_s=self._now_s())
        self._observer.on_sent(index)
        try:
            async with aclosing(self._send(request)) as answer:
                async for message in answer:
                    noted.take(message, self._now_s())
                    self._observer.on_message(index, message)
            outcome = Outcome(OK, finish_name(noted.finish.reason))
        except SplitwiserError as error:
            outcome = Outcome(error.status, error.reason)
        record = RequestRecord(
            index=index,
            request_id=request.request_id,
            planned_s=planned.arrival_s,
            sent_s=noted.sent_s,
            finished_s=self._now_s(),
            prompt_tokens=noted.finish.usage.prompt_tokens or planned.prompt_tokens,
            outcome=outcome,
            arrived=tuple(noted.arrived),
            server_ms=noted.server_ms(),
        )
        self._observer.on_finished(record)
        return record


@dataclass(slots=True)
class _Noted:
    """What is known of a request while its answer comes."""

    sent_s: float
    arrived: list[Arrived] = field(default_factory=list)
    finish: inference_pb2.Finish = field(default_factory=inference_pb2.Finish)

    def take(self, message: inference_pb2.GenerateResponse, now_s: float) -> None:
        if message.token_ids:
            self.arrived.append(Arrived(now_s, len(message.token_ids)))
        if message.HasField("finish"):
            self.finish = message.finish

    def server_ms(self) -> dict[str, float]:
        """The echoed timings by name; empty if there are none."""
        if not self.finish.HasField("timings"):
            return {}
        timings = self.finish.timings
        return {descriptor.name: getattr(timings, descriptor.name) for descriptor in timings.DESCRIPTOR.fields}


def finish_name(reason: sampling_pb2.FinishReason) -> str:
    """STOP or LENGTH."""
    return sampling_pb2.FinishReason.Name(reason).removeprefix("FINISH_REASON_")
