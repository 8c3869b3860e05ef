"""Every line says who wrote it and in which trace; none says what a prompt held."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from splitwiser.config.schema import TelemetrySettings
from splitwiser.telemetry.logs import configure_logging
from splitwiser.telemetry.timeline import TimelineWriter, timeline_path
from splitwiser.telemetry.tracing import Tracing, current_traceparent

SECRET = "the patient's name is Ada"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def configure(stream: io.StringIO, **settings: Any) -> None:
    configure_logging(TelemetrySettings(**{"log_format": "json", **settings}), "router", "router-0", stream)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_own_and_library_lines_have_one_shape(stream: io.StringIO):
    configure(stream)
    structlog.get_logger("splitwiser.rpc").info("listening", port=50051)
    logging.getLogger("grpc").warning("connection %s lost", 3)
    own, library = lines(stream)
    assert (own["event"], own["port"], own["logger"]) == ("listening", 50051, "splitwiser.rpc")
    assert (library["event"], library["level"], library["logger"]) == ("connection 3 lost", "warning", "grpc")
    for line in (own, library):
        assert (line["service"], line["instance"]) == ("router", "router-0")
        assert str(line["timestamp"]).endswith("Z")


def test_a_line_within_a_span_names_its_trace(stream: io.StringIO, tmp_path: Path):
    configure(stream)
    timeline = TimelineWriter(timeline_path(tmp_path, "router"))
    tracing = Tracing("router", "router", TelemetrySettings(), timeline)
    with tracing.span("request"):
        traceparent = current_traceparent()
        structlog.get_logger("a").info("inside")
    structlog.get_logger("a").info("outside")
    tracing.shutdown()
    timeline.close()
    inside, outside = lines(stream)
    assert traceparent is not None
    assert traceparent == f"00-{inside['trace_id']}-{inside['span_id']}-{traceparent[-2:]}"
    assert "trace_id" not in outside


def fail_with_a_prompt_at_hand() -> None:
    prompt = SECRET
    raise RuntimeError(len(prompt))


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_prompts_stay_out_of_fields_and_tracebacks(stream: io.StringIO, log_format: str):
    configure(stream, log_format=log_format)
    structlog.get_logger("a").warning("refused", prompt=SECRET, token_ids=[1, 2], request_id="r-1")
    try:
        fail_with_a_prompt_at_hand()
    except RuntimeError:
        structlog.get_logger("a").exception("failed")
        logging.getLogger("asyncio").exception("failed too")
    written = stream.getvalue()
    assert SECRET not in written
    assert "[1, 2]" not in written
    assert "r-1" in written
    assert written.count("RuntimeError: 25") == 2


def test_content_is_logged_where_it_is_switched_on(stream: io.StringIO):
    configure(stream, record_content=True)
    structlog.get_logger("a").info("admitted", prompt=SECRET)
    assert SECRET in stream.getvalue()


def test_lines_under_the_level_are_left_out_for_everyone(stream: io.StringIO):
    configure(stream, log_level="warning")
    structlog.get_logger("a").info("quiet")
    logging.getLogger("grpc").info("quiet")
    assert stream.getvalue() == ""


def test_console_lines_are_plain_where_no_terminal_reads_them(stream: io.StringIO):
    configure(stream, log_format="console")
    structlog.get_logger("a").info("listening", port=50051)
    assert "\x1b" not in stream.getvalue()
    assert "listening" in stream.getvalue()


def test_warnings_go_the_same_way(stream: io.StringIO):
    configure(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old option", DeprecationWarning, stacklevel=1)
    assert "old option" in stream.getvalue()
