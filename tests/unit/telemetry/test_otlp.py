"""A collector gets the spans; a dead or hung one is felt neither while the service serves nor when it leaves."""

import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from splitwiser.config.schema import TelemetrySettings
from splitwiser.telemetry import names, otlp
from splitwiser.telemetry.timeline import TimelineWriter, read_timeline, timeline_path
from splitwiser.telemetry.tracing import Tracing


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[trace_service_pb2.ExportTraceServiceRequest] = []

    def Export(self, request, context):  # noqa: N802
        self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def hung_endpoint() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dead_endpoint() -> str:
    """Refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def start(run_dir: Path, endpoint: str) -> tuple[Tracing, TimelineWriter]:
    timeline = TimelineWriter(timeline_path(run_dir, "router"))
    return Tracing("router", "router", TelemetrySettings(otlp_endpoint=endpoint), timeline), timeline


def test_a_collector_gets_every_span_by_the_end(tmp_path: Path):
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    tracing, timeline = start(tmp_path, f"http://127.0.0.1:{port}")
    with tracing.span(names.REQUEST):
        tracing.record(names.QUEUE, 1, 2)
    tracing.shutdown()
    timeline.close()
    server.stop(None).wait()
    resources = [resource for request in collector.requests for resource in request.resource_spans]
    sent = {span.name for resource in resources for scope in resource.scope_spans for span in scope.spans}
    attributes = {item.key: item.value.string_value for item in resources[0].resource.attributes}
    assert sent == {names.REQUEST, names.QUEUE}
    assert attributes["service.name"] == "splitwiser-router"
    assert attributes["service.instance.id"] == "router"


@pytest.mark.parametrize("kind", ["hung_endpoint", "dead_endpoint"])
def test_a_lost_collector_slows_nothing_and_the_timeline_is_complete(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
):
    tracing, timeline = start(tmp_path, request.getfixturevalue(kind))
    took_s = list[float]()
    for _ in range(3000):
        began = time.perf_counter()
        tracing.record(names.QUEUE, 1, 2)
        took_s.append(time.perf_counter() - began)
        time.sleep(0.0005)
    began = time.perf_counter()
    tracing.shutdown()
    timeline.close()
    left_s = time.perf_counter() - began
    # The machine may be late a few times, by less than a wait for the collector; without the limit there would be six.
    assert sorted(took_s)[-3] < otlp.EXPORT_TIMEOUT_S / 2
    assert left_s < 5 * otlp.EXPORT_TIMEOUT_S
    assert len(read_timeline(tmp_path)) == 3000
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= 1


def test_losing_the_collector_is_said_once(dead_endpoint: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    tracing, timeline = start(tmp_path, dead_endpoint)
    tracing.record(names.QUEUE, 1, 2)
    deadline = time.monotonic() + 10
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.05)
    tracing.record(names.QUEUE, 1, 2)
    tracing.shutdown()
    timeline.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"spans do not reach {dead_endpoint}; serving goes on without"
    ]
