"""A request's way through the workers: what its client has after a loss, and what is learned and counted on the way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from splitwiser.config.schema import RouterSettings, TelemetrySettings
from splitwiser.engine.base import Sampling, StopRule
from splitwiser.errors import InvalidRequest, SplitwiserError
from splitwiser.routing import attempt as attempt_module
from splitwiser.routing.journey import Journey
from splitwiser.routing.pipeline import Pipeline
from splitwiser.routing.places import Places, Seats
from splitwiser.routing.request import RoutedRequest
from splitwiser.rpc.client import open_channel
from splitwiser.rpc.deadline import Deadline
from splitwiser.rpc.server import Service, serve
from splitwiser.telemetry.metrics.router import RouterMetrics
from splitwiser.telemetry.timeline import TimelineWriter
from splitwiser.telemetry.tracing import Tracing
from splitwiser.v1 import prefill_pb2, prefill_pb2_grpc
from splitwiser.v1.prefill_pb2 import FirstToken, PrefillResponse
from tests.unit.routing.test_attempt import DONE, FIRST, LOST, PROMISED, STALE, Call, DecodeScript, Script

REQUEST = RoutedRequest("r", (1, 2), Sampling(0.0, 1.0, 0, 1), StopRule(3, frozenset()), (), 0)
SLOW = PrefillResponse(first_token=FirstToken(token_id=50, queue_ms=400, prefill_ms=700))


class Prefill(prefill_pb2_grpc.PrefillServiceServicer):
    """Each call does what is next in the script."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.requests: list[prefill_pb2.PrefillRequest] = []

    async def Prefill(self, request: prefill_pb2.PrefillRequest, context: Any) -> None:  # noqa: N802
        self.requests.append(request)
        for each in self.scripts.pop(0):
            if isinstance(each, SplitwiserError):
                raise each
            await context.write(each)


class Worker(Seats):
    """One that is back as soon as it is lost."""

    def __init__(self, stub: prefill_pb2_grpc.PrefillServiceStub) -> None:
        super().__init__(1)
        self.available = True
        self.stub = stub

    def doubt(self) -> None:
        pass


class Floor:
    """One worker of each phase. ttft_s: what the line before prefill was told of each request that came."""

    def __init__(self, channel: Any, tracing: Tracing) -> None:
        self.ttft_s: list[float] = []
        self.metrics = RouterMetrics()
        self._places: Places[Any] = Places(self._rank, 10)
        self._places.add(Worker(prefill_pb2_grpc.PrefillServiceStub(channel)))
        self._tracing = tracing

    async def run(self, **settings: Any) -> list[int]:
        """The tokens that the client has at the end."""
        router = RouterSettings.model_validate(settings)
        journey = Journey(REQUEST, Deadline.after(60))
        pipeline = Pipeline(self._places, None, self._tracing, self.metrics, router)  # type: ignore[arg-type]
        assert await pipeline.run(journey) == DONE
        return journey.tokens.token_ids

    def counted(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"splitwiser_{name}")

    def _rank(self, request: RoutedRequest, ttft_s: float) -> int:
        self.ttft_s.append(ttft_s)
        return 0


@asynccontextmanager
async def floor_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, prefill: Prefill, decode: DecodeScript
) -> AsyncIterator[Floor]:
    def call(journey: Journey, places: object, on_token: Any) -> DecodeScript:
        decode.on_token = on_token
        return decode

    monkeypatch.setattr(attempt_module, "DecodeCall", call)
    descriptor = prefill_pb2.DESCRIPTOR.services_by_name["PrefillService"]
    service = Service(descriptor, prefill_pb2_grpc.add_PrefillServiceServicer_to_server, prefill)
    timeline = TimelineWriter(folder / "timeline")
    tracing = Tracing("router", "router", TelemetrySettings(), timeline)
    async with serve(f"unix:{folder}/prefill.sock", [service]) as server, open_channel(server.address) as channel:
        yield Floor(channel, tracing)
    tracing.shutdown()
    timeline.close()


@pytest.mark.parametrize("on_decode_loss", ["resume", "fail"])
async def test_the_only_token_that_the_client_has_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_decode_loss: str
) -> None:
    prefill, decode = Prefill([PROMISED, FIRST, LOST], [PROMISED, SLOW]), DecodeScript([STALE], [51])
    async with floor_of(tmp_path, monkeypatch, prefill, decode) as floor:
        assert await floor.run(on_decode_loss=on_decode_loss, retries=1) == [10, 50, 51]
        assert floor.counted("requests_retried_total") == 1
        assert floor.counted("request_queue_time_seconds_count") == 1, "it came once"
    again = prefill.requests[1]
    assert (list(again.token_ids), again.first_index) == ([1, 2, 10], 1)


async def test_the_wait_of_a_request_that_fails_is_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefill = Prefill([InvalidRequest("no grammar", help="")])
    async with floor_of(tmp_path, monkeypatch, prefill, DecodeScript()) as floor:
        with pytest.raises(InvalidRequest):
            await floor.run()
        assert floor.counted("request_queue_time_seconds_count") == 1


async def test_the_line_learns_what_prompts_take_at_prefill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefills: list[Script] = [[PROMISED, SLOW]] * 30
    decodes: list[Call] = [[51]] * 30
    prefill, decode = Prefill(*prefills), DecodeScript(*decodes)
    async with floor_of(tmp_path, monkeypatch, prefill, decode) as floor:
        for _ in range(30):
            await floor.run()
        assert floor.ttft_s[-1] == pytest.approx(1.1, abs=0.1)
