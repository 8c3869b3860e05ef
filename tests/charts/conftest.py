"""Every test of this folder renders the chart with helm. `make test-chart` names the folder of the programs; where
nobody does, the tests are left out."""

import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.helm import CHART, Helm, Object
from tests.support.selection import run_only_where

HERE = Path(__file__).parent
TOOLS = "KUBE_TOOLS"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
RENDER_SECONDS: list[float] = []
"""Of each of two at a time, on whatever else the machine does."""
RENDER_CPU_SECONDS: list[float] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run_only_where(lambda: TOOLS in os.environ, HERE, config, items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if RENDER_SECONDS:
        figures = {
            "chart_renders": len(RENDER_SECONDS),
            "chart_render_s_median": round(statistics.median(RENDER_SECONDS), 3),
            "chart_render_s_max": round(max(RENDER_SECONDS), 3),
            "chart_render_cpu_s_max": round(max(RENDER_CPU_SECONDS, default=0.0), 3),
        }
        terminalreporter.write_line(json.dumps(figures))


def _helm(name: str) -> Helm:
    return Helm(Path(os.environ[TOOLS]) / name)


@pytest.fixture(scope="session")
def helms() -> Sequence[Helm]:
    """helm 4 and helm 3."""
    return (_helm("helm"), _helm("helm3"))


@pytest.fixture(scope="session")
def helm(helms: Sequence[Helm]) -> Helm:
    """helm 4."""
    return helms[0]


@pytest.fixture(scope="session", params=VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def values_file(request: pytest.FixtureRequest) -> Path:
    """Each values file of charts/ci."""
    path: Path = request.param
    return path


@pytest.fixture(scope="session")
def objects(helm: Helm, values_file: Path) -> list[Object]:
    """What the chart renders to with that file."""
    return helm.objects(values_file)
