"""The commands that bring a stack of their own: each ends with its result, and with nothing left running."""

import re
import signal
from pathlib import Path

import pytest

from tests.integration.cli.conftest import run, started
from tests.support.processes import lives
from tests.support.waiting import until


async def test_the_demo_streams_draws_and_stops(tmp_path: Path) -> None:
    ended = await run(tmp_path, "demo", "--engine", "sim", "--requests", "4", "--arrivals", "0.5")
    assert ended.code == 0, ended.errors
    assert "first token " in ended.output
    assert "4 of 4 requests" in ended.output
    page = tmp_path / "runs" / "demo" / "demo.html"
    assert str(page) in ended.output
    assert "<html" in page.read_text()
    assert page.with_name("demo.perfetto-trace").stat().st_size > 1000


@pytest.mark.slow
async def test_the_demo_serves_a_real_model_within_its_time(tmp_path: Path) -> None:
    """20 s on two idle cores; three times that on a machine that does other things besides."""
    ended = await run(tmp_path, "demo", "--requests", "6", "--arrivals", "2")
    assert ended.code == 0, ended.errors
    found = re.search(r"first token ([\d.]+) s after the start", ended.output)
    assert found
    assert float(found[1]) < 60
    assert "6 of 6 requests" in ended.output


async def test_several_workers_of_each_phase(tmp_path: Path) -> None:
    workers = ("--set", "prefill.workers=2", "--set", "decode.workers=3")
    ended = await run(tmp_path, "demo", "--engine", "sim", "--requests", "12", "--arrivals", "0.5", *workers)
    assert ended.code == 0, ended.errors
    assert "12 of 12 requests" in ended.output
    assert "decode-2 ready" in ended.output


async def test_a_folder_called_services_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "__init__.py").write_text("raise RuntimeError('not the services that were meant')")
    ended = await run(tmp_path, "demo", "--engine", "sim", "--requests", "1")
    assert ended.code == 0, ended.errors


async def test_a_broken_trace_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("TIME,TOKENS\n1,2\n")
    ended = await run(tmp_path, "demo", "--engine", "sim", "--trace", "trace.csv")
    assert ended.code == 2
    assert "trace.csv line 1: no column TIMESTAMP" in ended.errors
    assert ended.output == ""


async def test_the_demo_can_be_interrupted(tmp_path: Path) -> None:
    async with started(tmp_path, "demo", "--engine", "sim", "--arrivals", "60") as running:
        await running.line("first token")
        children = running.children()
        running.send(signal.SIGINT)
        ended = await running.end()
    assert ended.code == 130
    assert "Traceback" not in ended.errors
    await until(lambda: not any(map(lives, children)))


async def test_the_router_bench_prints_its_figures(tmp_path: Path) -> None:
    short = ("--streams", "4", "--window", "0.5", "--warmup", "0.2", "--idle-requests", "3", "--paced-step", "0")
    ended = await run(tmp_path, "bench", "router", *short, "--json")
    assert ended.code == 0, ended.errors
    assert ended.json["tokens_per_router_cpu_second"] > 0
    assert ended.json["grant_to_first_step_ms_p50"] > 0


async def test_the_hand_off_bench_prints_the_whole_and_its_parts(tmp_path: Path) -> None:
    ended = await run(tmp_path, "bench", "handoff", "--requests", "5", "--json")
    assert ended.code == 0, ended.errors
    assert (ended.json["handoffs"], ended.json["pages"]) == (5, 256)
    parts = sum(ended.json[f"{part}_ms_p50"] for part in ("grant", "wait", "claim"))
    assert 0 < parts < 3 * ended.json["grant_to_adopted_ms_p50"]


@pytest.mark.slow
async def test_a_spare_serves_again_in_less_than_half_of_a_cold_start(tmp_path: Path) -> None:
    ended = await run(tmp_path, "bench", "restart", "--runs", "1", "--json")
    assert ended.code == 0, ended.errors
    assert ended.json["engine"] == "transformers"
    assert 0 < ended.json["restart_to_cold_start"] < 0.5


async def test_a_verification_says_that_all_is_well(tmp_path: Path) -> None:
    ended = await run(tmp_path, "verify", "--engine", "sim", "--requests", "8", "--json")
    assert ended.code == 0, ended.errors
    assert (ended.json["passed"], ended.json["mismatches"]) == (True, 0)


async def test_a_verification_that_fails_exits_with_1(tmp_path: Path) -> None:
    ended = await run(tmp_path, "verify", "--engine", "sim", "--requests", "8", "--zero-pool", "--fail-fast", "--json")
    assert ended.code == 1
    assert ended.json["mismatches"] > 0
