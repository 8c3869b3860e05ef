"""`splitwiser trace` draws one request's spans as a tree with durations."""

import json
from pathlib import Path

from splitwiser.telemetry import names
from splitwiser.telemetry.records import SpanRecord
from splitwiser.telemetry.timeline import TimelineWriter
from tests.unit.cli.conftest import Splitwiser


def write_timeline(run_dir: Path) -> None:
    for instance, name, span_id, parent_id, start_ms, end_ms in (
        ("router", "request", "a1", "", 0, 30),
        ("router", "queue", "a2", "a1", 1, 5),
        ("prefill-0", "prefill_chunk", "b1", "a2", 6, 20),
    ):
        writer = TimelineWriter(run_dir / "timeline" / f"{instance}.jsonl")
        attributes = {names.REQUEST_ID: "mine"}
        writer.append([SpanRecord(name, "f" * 32, span_id, parent_id, start_ms * 10**6, end_ms * 10**6, attributes)])
        writer.close()


async def test_the_tree_shows_names_durations_and_places(splitwiser: Splitwiser, tmp_path: Path) -> None:
    write_timeline(tmp_path / "runs" / "local")
    ended = await splitwiser("trace", "mine")
    assert ended.output.splitlines() == [
        "request mine",
        "└── request  30.00 ms  at 0.00 ms  router",
        "    └── queue  4.00 ms  at 1.00 ms  router",
        "        └── prefill_chunk  14.00 ms  at 6.00 ms  prefill-0",
    ]


async def test_json_and_perfetto(splitwiser: Splitwiser, tmp_path: Path) -> None:
    write_timeline(tmp_path / "run")
    ended = await splitwiser("trace", "mine", "--run-dir", "run", "--json", "--perfetto", "out.perfetto-trace")
    spans = json.loads(ended.output.splitlines()[-1])["spans"]
    assert [span["name"] for span in spans] == ["request", "queue", "prefill_chunk"]
    assert (tmp_path / "out.perfetto-trace").stat().st_size > 0


async def test_an_unknown_request_is_an_error(splitwiser: Splitwiser) -> None:
    ended = await splitwiser("trace", "nobody")
    assert ended.code == 1
    assert ended.errors.startswith("error: no request nobody in the timeline of runs/local\nhelp: ")
