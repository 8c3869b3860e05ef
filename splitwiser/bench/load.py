"""Owns open-loop load: requests go out when the workload says, whether or not earlier ones have come back.

A closed loop (send when one finishes) slows down with the server and hides its queue; an open loop does not. What it
needs in return is a generator that is on time itself, so every record says how late it was sent.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
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
        arrived: list[Arrived] = []
        finish = inference_pb2.Finish()
        sent_s = self._now_s()
        self._observer.on_sent(index)
        try:
            async with aclosing(self._send(request)) as answer:
                async for message in answer:
                    if message.token_ids:
                        arrived.append(Arrived(self._now_s(), len(message.token_ids)))
                    if message.HasField("finish"):
                        finish = message.finish
                    self._observer.on_message(index, message)
            outcome = Outcome(OK, finish_name(finish.reason))
        except SplitwiserError as error:
            outcome = Outcome(error.status, error.reason)
        record = RequestRecord(
            index=index,
            request_id=request.request_id,
            planned_s=planned.arrival_s,
            sent_s=sent_s,
            finished_s=self._now_s(),
            prompt_tokens=finish.usage.prompt_tokens or planned.prompt_tokens,
            outcome=outcome,
            arrived=tuple(arrived),
            server_ms=_milliseconds(finish),
        )
        self._observer.on_finished(record)
        return record


def _milliseconds(finish: inference_pb2.Finish) -> dict[str, float]:
    if not finish.HasField("timings"):
        return {}
    return {field.name: getattr(finish.timings, field.name) for field in finish.timings.DESCRIPTOR.fields}


def finish_name(reason: sampling_pb2.FinishReason) -> str:
    """STOP or LENGTH."""
    return sampling_pb2.FinishReason.Name(reason).removeprefix("FINISH_REASON_")
