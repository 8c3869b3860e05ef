"""The restart measurement on stacks of its own: a killed decode worker's successor answers, over TLS too."""

import json
from pathlib import Path

import pytest

from splitwiser.bench.commands import RestartOptions, bench_restart
from splitwiser.config.schema import EngineSettings, Settings
from tests.support.certificates import write_secret


@pytest.mark.slow
async def test_every_kind_of_start_is_measured_over_tls(tmp_path: Path) -> None:
    settings = Settings(engine=EngineSettings(kind="sim"), tls=write_secret(tmp_path))
    figures = json.loads((await bench_restart(RestartOptions(settings, runs=1))).to_json())
    assert min(figures[name] for name in ("cold_start_s", "restart_s", "restart_without_spare_s")) > 0
