"""Every test of this folder needs a cluster that has the project's images; elsewhere they are left out."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kube import Kube

HERE = Path(__file__).parent
FIGURES = pytest.StashKey[dict[str, float]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker("cluster")
        item.add_marker(pytest.mark.timeout(400))
    if here and not os.environ.get("SPLITWISER_TEST_CLUSTER"):
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash[FIGURES]:
        terminalreporter.write_line(json.dumps({"cluster": figures}))


@pytest.fixture
def figure(pytestconfig: pytest.Config) -> Callable[[str, float], None]:
    """Notes a measured figure, printed as JSON with the test's summary."""

    def note(name: str, value: float) -> None:
        pytestconfig.stash[FIGURES][name] = round(value, 2)

    return note


@pytest.fixture
def node() -> None:
    """For tests that look at the node itself: they must run on it."""
    if not os.environ.get("SPLITWISER_TEST_NODE"):
        pytest.skip("the node is another machine")


@pytest.fixture(scope="module")
def kube(request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace of the test module's own, with a pod that load comes from. Its releases go with it."""
    kube = Kube(request.module.__name__.rpartition(".")[2].replace("_", "-"))
    kube.kubectl("create", "namespace", kube.namespace)
    # A pod needs its namespace's service account, which comes a moment later.
    wait_until(lambda: kube.run("kubectl", "get", "serviceaccount", "default").returncode == 0, "a service account")
    kube.apply(CLIENT_POD)
    kube.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    yield kube
    for release in json.loads(kube.helm("list", "--output", "json")):
        kube.helm("uninstall", release["name"], "--wait")
    kube.kubectl("delete", "namespace", kube.namespace, "--timeout=120s")


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


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    """Asks again and again."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"no {what} after {timeout_s:.0f} s"
        time.sleep(0.2)
