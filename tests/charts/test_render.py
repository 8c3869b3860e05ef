"""Every values file of charts/ci renders with helm 3 and 4, to objects that Kubernetes 1.27 to 1.36 takes."""

import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from tests.charts.conftest import RENDER_CPU_SECONDS, RENDER_SECONDS
from tests.support.helm import CHART, Helm, Object, parse
from tests.support.kube_schema import schema_errors

KUBE_VERSIONS = tuple(f"1.{minor}" for minor in range(27, 37))
AT_A_TIME = 2
LIMIT_S = 1.0


def _versions(values_file: Path) -> list[str]:
    """Those that the file is for: its comment may name the oldest."""
    needs = re.search(r"Needs Kubernetes 1\.(\d+)", values_file.read_text())
    oldest = int(needs[1]) if needs else 0
    return [version for version in KUBE_VERSIONS if int(version.split(".")[1]) >= oldest]


def test_it_renders_for_every_kubernetes_with_either_helm(helms: Sequence[Helm], values_file: Path) -> None:
    versions = _versions(values_file)

    def render(job: tuple[str, Helm]) -> frozenset[str]:
        started_s = time.perf_counter()
        text = job[1].text(values_file, kube_version=f"{job[0]}.0")
        RENDER_SECONDS.append(time.perf_counter() - started_s)
        return frozenset(text.split("\n---\n"))

    with ThreadPoolExecutor(AT_A_TIME) as threads:
        renders = list(threads.map(render, product(versions, helms)))
    for version, by_four, by_three in zip(versions, renders[::2], renders[1::2], strict=True):
        assert by_four == by_three
        for document in by_four:
            assert _errors(document, version) == [], f"{document}\non Kubernetes {version}"


@cache
def _errors(document: str, version: str) -> list[str]:
    """Kept, because most objects are the same with most values."""
    return [error for one in _parsed(document) for error in schema_errors(one, version)]


@cache
def _parsed(document: str) -> list[Object]:
    return parse(document)


def test_a_release_renders_within_a_second(helm: Helm, values_file: Path) -> None:
    """Of CPU time, which is more than it takes on an idle machine: what else runs on this one is not the chart's."""
    before = os.times()
    helm.text(values_file)
    after = os.times()
    cpu_s = sum(after[2:4]) - sum(before[2:4])
    RENDER_CPU_SECONDS.append(cpu_s)
    assert 0 < cpu_s < LIMIT_S


@pytest.mark.parametrize("position", [0, 1], ids=["helm 4", "helm 3"])
def test_lint_finds_nothing(helms: Sequence[Helm], values_file: Path, position: int) -> None:
    helms[position].run("lint", "--strict", str(CHART), "--values", str(values_file))


def test_an_older_kubernetes_is_refused(helm: Helm, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"kubeVersion: >=1\.27"):
        helm.text({}, kube_version="1.26.0")
