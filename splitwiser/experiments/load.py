"""Owns how a measurement loads a side, and the figures of the requests that it sent."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

from splitwiser.bench.load import Answer, LoadObserver, LoadRun
from splitwiser.bench.records import RequestRecord
from splitwiser.bench.requests import MadeUpRequests
from splitwiser.bench.statistics import quantile
from splitwiser.bench.workload import PlannedRequest, Workload
from splitwiser.errors import SplitwiserError
from splitwiser.experiments.sides.target import Target
from splitwiser.v1 import inference_pb2

TIMEOUT_S = 300.0
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Sender:
    """Sends requests to a target, to its engines in turn."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._requests = MadeUpRequests(target.model, run=f"x-{uuid.uuid4().hex[:8]}")
        self._sent = 0

    def build(self, index: int, planned: PlannedRequest) -> inference_pb2.GenerateRequest:
        """A request with an id of its own, whatever the index, and a prompt that no other measurement has."""
        self._sent += 1
        seed = int.from_bytes(blake2b(f"{self._target.salt} {planned.seed}".encode(), digest_size=6).digest(), "big")
        return self._requests.build(self._sent, replace(planned, seed=seed))

    def send(self, request: inference_pb2.GenerateRequest) -> Answer:
        """To the engine whose turn it is by the request's number."""
        clients = self._target.clients
        turn = int(request.request_id.rpartition("-")[2])
        return clients[turn % len(clients)].generate(request, timeout_s=TIMEOUT_S)

    async def open_loop(self, workload: Workload, observer: LoadObserver | None = None) -> Sequence[RequestRecord]:
        """Every request at its time."""
        return await LoadRun(self.send, self.build, observer).run(workload)

    async def one(self, planned: PlannedRequest) -> RequestRecord:
        """A request now. Its record's clock starts with it."""
        (record,) = await self.open_loop(Workload("one", (replace(planned, arrival_s=0.0),)))
        return record

    async def closed_loop(self, planned: Sequence[PlannedRequest], in_flight: int) -> list[RequestRecord]:
        """All of them, each as soon as one of the in_flight before it has ended."""
        left = iter(planned)

        async def worker() -> list[RequestRecord]:
            return [await self.one(each) for each in left]

        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(worker()) for _ in range(in_flight)]
        return [record for each in workers for record in each.result()]


def equal_requests(count: int, prompt_tokens: int, output_tokens: int, seed: int) -> list[PlannedRequest]:
    """Requests that differ in the tokens of their prompts alone."""
    return [PlannedRequest(0.0, prompt_tokens, output_tokens, seed * 1_000_003 + index) for index in range(count)]


def latencies(records: Sequence[RequestRecord]) -> dict[str, float]:
    """Quantiles of TTFT, TPOT and ITL in ms, over completed requests; what no request had is left out."""
    done = [record for record in records if record.completed]
    values = {
        "ttft": _ms(record.ttft_s for record in done),
        "tpot": _ms(record.tpot_s for record in done),
        "itl": _ms(gap for record in done for gap in record.itl_s),
        "e2e": _ms(record.e2e_s for record in done),
    }
    found = {name: sorted(each) for name, each in values.items() if each}
    return {f"{name}_{q}_ms": quantile(each, at) for name, each in found.items() for q, at in QUANTILES.items()}


def phases(records: Sequence[RequestRecord]) -> dict[str, float]:
    """Medians of the phases' times as the side itself told them, in ms."""
    told = [record.server_ms for record in records if record.completed and record.server_ms]
    names = ("prefill_ms", "decode_ms") if told else ()
    return {f"phase_{name}": quantile(sorted(each[name] for each in told), 0.5) for name in names}


def require_answers(records: Sequence[RequestRecord], target: Target) -> None:
    """Raise SplitwiserError when not one request was answered: there is nothing to measure."""
    if records and not any(record.completed for record in records):
        outcome = records[0].outcome
        raise SplitwiserError(
            f"{target.name} answered none of {len(records)} requests: {outcome.status} {outcome.reason}",
            help="see its logs; a smaller batch, shorter prompts or a larger pool.pages may be needed",
        )


def _ms(seconds: Iterable[float | None]) -> list[float]:
    return [value * 1e3 for value in seconds if value is not None]
