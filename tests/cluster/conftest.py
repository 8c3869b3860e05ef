"""Every test of this folder needs a cluster that has the project's images; elsewhere they are left out.

Modules run side by side, each on a release of its own; those of SHARED share one, in the order of their names.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.cluster.kube import Kube
from tests.support.selection import run_only_where

HERE = Path(__file__).parent
FIGURE = "figure:"
SHARED = dict.fromkeys(("test_experiments", "test_submit", "test_uninstall"), "plain")
MEASURES = "test_release"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    has_cluster = bool(os.environ.get("SPLITWISER_TEST_CLUSTER"))
    run_only_where(lambda: has_cluster, HERE, config, items, "cluster", pytest.mark.timeout(400))


class Groups(LoadScopeScheduling):
    """Modules go to processes; those that share a release go to one."""

    def _split_scope(self, nodeid: str) -> str:
        module = Path(nodeid.partition("::")[0]).stem
        return SHARED.get(module, module)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    return Groups(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    properties = [pair for report in reports for pair in getattr(report, "user_properties", ())]
    if figures := {name.removeprefix(FIGURE): value for name, value in properties if name.startswith(FIGURE)}:
        terminalreporter.write_line(json.dumps({"cluster": figures}))


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """Notes a measured figure, printed as JSON with the tests' summary."""

    def note(name: str, value: float) -> None:
        record_property(FIGURE + name, round(value, 2))

    return note


@pytest.fixture
def node() -> None:
    """For tests that look at the node itself: they must run on it."""
    if not os.environ.get("SPLITWISER_TEST_NODE"):
        pytest.skip("the node is another machine")


@pytest.fixture(scope="session")
def installs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is locked while a release starts: two at a time would both be late."""
    return tmp_path_factory.getbasetemp().parent / "installs.lock"


@pytest.fixture(scope="session")
def measured(installs: Path) -> Path:
    """A file that says that the time of an install has been taken: until then nobody else keeps the machine busy."""
    return installs.with_name("measured")


@pytest.fixture(scope="module")
def after_measuring(request: pytest.FixtureRequest, measured: Path) -> None:
    """Waits for the one module that takes its time, where it runs beside this one."""
    measures = any(item.path.stem == MEASURES for item in request.session.items)
    deadline_s = time.monotonic() + 120
    if measures and os.environ.get("PYTEST_XDIST_WORKER") and request.path.stem != MEASURES:
        while not measured.exists() and time.monotonic() < deadline_s:
            time.sleep(0.2)


@pytest.fixture(scope="module")
def kube(request: pytest.FixtureRequest, installs: Path, after_measuring: None) -> Iterator[Kube]:
    """A namespace of the test module's own, with a pod that load comes from. Its releases go with it."""
    with namespace(request.path.stem.replace("_", "-"), installs) as kube:
        yield kube


@pytest.fixture(scope="session")
def shared_release(installs: Path) -> Iterator[Kube]:
    with namespace("plain", installs) as kube:
        kube.install({})
        yield kube


@pytest.fixture
def plain(after_measuring: None, shared_release: Kube) -> Kube:
    """A release with nothing special, which several modules look at; the last of them uninstalls it."""
    return shared_release


@contextmanager
def namespace(name: str, installs: Path) -> Iterator[Kube]:
    """A new namespace, which goes with all in it after the block; nobody waits for that, as no other has its name."""
    kube = Kube(f"{name}-{secrets.token_hex(2)}", installs)
    kube.kubectl("create", "namespace", kube.namespace)
    try:
        # A pod needs its namespace's service account, which comes a moment later.
        wait_until(lambda: kube.run("kubectl", "get", "serviceaccount", "default").returncode == 0, "a service account")
        kube.apply(CLIENT_POD)
        yield kube
    finally:
        kube.kubectl("delete", "namespace", kube.namespace, "--wait=false")


CLIENT_POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "client"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {"name": "client", "image": "localhost/splitwiser-router:test", "command": ["sleep", "infinity"]}
        ],
    },
}


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = 120) -> None:
    """Asks again and again."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"no {what} after {timeout_s:.0f} s"
        time.sleep(1.0)
