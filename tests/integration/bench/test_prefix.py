"""A prefix measurement of its own: what it reports of conversations whose hits can be counted by hand."""

import json
from pathlib import Path

from splitwiser.bench.commands import PrefixOptions, Shape, bench_prefix
from splitwiser.config.schema import EngineSettings, PoolSettings, Settings
from tests.support.certificates import write_secret

SIM = Settings(engine=EngineSettings(kind="sim"))


async def test_all_that_can_be_hit_is_hit_in_a_pool_with_room() -> None:
    shape = Shape(conversations=6, turns=3, systems=6, system_tokens=64, user_tokens=16, answer_tokens=17)
    report = await bench_prefix(PrefixOptions(SIM, shape, concurrency=3))
    figures = json.loads(report.to_json())
    # Page by page: nothing of 80 tokens; 96 of 80 + 17 + 16, as the answer's last KV is missing; 128 of 146.
    assert [turn.bound_tokens for turn in report.cached] == [0] * 6 + [96] * 6 + [128] * 6
    assert figures["hit_rate"]["split"] == figures["hit_rate"]["bound"] == round((96 + 128) / (80 + 113 + 146), 4)
    assert figures["hit_rate"]["switched_off"] == 0
    assert figures["answers_differ"] == {"switched_off": 0, "unsplit": None}
    assert figures["ttft_ms"]["pairs"] == 6


async def test_a_pool_without_room_hits_less_and_answers_the_same_over_tls(tmp_path: Path) -> None:
    small = SIM.model_copy(update={"pool": PoolSettings(pages=64), "tls": write_secret(tmp_path)})
    shape = Shape(conversations=12, turns=3, systems=2, system_tokens=100)
    report = await bench_prefix(PrefixOptions(small, shape, concurrency=3))
    figures = json.loads(report.to_json())
    assert figures["hit_rate"]["split"] < figures["hit_rate"]["bound"]
    assert figures["answers_differ"]["switched_off"] == 0


async def test_host_pages_make_up_for_a_pool_without_room() -> None:
    shape, rates = Shape(conversations=20, turns=3, systems=2, system_tokens=100), []
    for host_pages in (0, 1024):
        settings = SIM.model_copy(update={"pool": PoolSettings(pages=128, host_pages=host_pages)})
        figures = json.loads((await bench_prefix(PrefixOptions(settings, shape, concurrency=2))).to_json())
        assert figures["answers_differ"]["switched_off"] == 0
        assert figures["host_pages"] == host_pages
        rates.append(figures["hit_rate"])
    without, with_host = rates
    assert without["split_from_host"] == 0
    assert with_host["split"] - without["split"] > 0.1
    assert with_host["split_from_host"] > 0.1
