"""A release as its users meet it: installed, asked, hurt, rolled, upgraded, rolled back."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.cluster.conftest import wait_until
from tests.cluster.kube import RELEASE, Answered, Kube

Figure = Callable[[str, float], None]
# The chart's own lame duck: it is what a router's roll relies on.
ROUTERS = {"replicas": 2, "lameDuckSeconds": 10}
TWO_OF_EACH: dict[str, Any] = {"router": ROUTERS, "prefill": {"replicas": 2}, "decode": {"replicas": 2}}
FIRST_TOKEN_LIMIT_S = 30


@pytest.fixture(scope="module")
def install_s(kube: Kube, measured: Path) -> float:
    """The release of this module, and how long it took from `helm install --wait` to its first streamed token."""
    kube.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    try:
        with kube.turn():
            start = time.monotonic()
            kube.start(TWO_OF_EACH, "--wait", "--timeout=120s")
            with kube.load(1, per_second=1, max_tokens=1) as load:
                check(load.finish(1), max_tokens=1)
                return time.monotonic() - start
    finally:
        measured.touch()


@pytest.fixture
def release(kube: Kube, install_s: float) -> Iterator[Kube]:
    """The release, which a test leaves as ready as it found it."""
    yield kube
    for component in ("router", "prefill", "decode"):
        kube.kubectl("rollout", "status", f"deployment/{RELEASE}-{component}", "--timeout=100s")


def check(answered: list[Answered], max_tokens: int) -> None:
    """Every request has exactly the tokens it should have."""
    assert [one.error for one in answered if one.error] == []
    assert [one for one in answered if not one.is_right(max_tokens)] == []


def test_first_token_is_soon_after_install(install_s: float, figure: Figure) -> None:
    figure("install_to_first_token_s", install_s)
    assert install_s < FIRST_TOKEN_LIMIT_S


def test_helm_test_generates(release: Kube) -> None:
    assert "Phase:          Succeeded" in release.helm("test", RELEASE, "--timeout", "120s")


def test_200_streams_through_the_service(release: Kube, figure: Figure) -> None:
    with release.load(200, per_second=20) as load:
        answered = load.finish(200)
    check(answered, max_tokens=32)
    # Tokens that wait together leave together, so a busy machine sends some answers in few messages.
    assert median(one.messages for one in answered) > 4, "not streamed"
    figure("service_requests_failed_of_200", sum(bool(one.error) for one in answered))


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_killing_a_worker_under_load_loses_nothing(release: Kube, node: None, phase: str) -> None:
    with release.load(100, per_second=20, max_tokens=64) as load:
        load.wait_for(10)
        _kill(release.pods(phase)[0]["metadata"]["name"])
        answered = load.finish(100)
    check(answered, max_tokens=64)
    wait_until(lambda: _restarts(release, phase) > 0, f"restart of the {phase} worker")


def test_deleting_worker_pods_under_load_loses_nothing(release: Kube) -> None:
    with release.load(150, per_second=15, max_tokens=64) as load:
        for phase in ("decode", "prefill"):
            load.wait_for(10)
            release.kubectl("delete", "pod", release.pods(phase)[0]["metadata"]["name"], "--wait=false")
        answered = load.finish(150)
    check(answered, max_tokens=64)


def test_rolling_the_router_fails_no_request(release: Kube, figure: Figure) -> None:
    with release.load(200, per_second=10) as load:
        load.wait_for(5)
        release.kubectl("rollout", "restart", f"deployment/{RELEASE}-router")
        answered = load.finish(200)
    figure("router_roll_requests_failed_of_200", sum(bool(one.error) for one in answered))
    check(answered, max_tokens=32)
    release.kubectl("rollout", "status", f"deployment/{RELEASE}-router", "--timeout=100s")


def test_upgrade_and_rollback_keep_serving(release: Kube) -> None:
    changed = TWO_OF_EACH | {"settings": {"router": {"policy": "shortest"}}}
    with release.load(2000, per_second=8) as load:
        load.wait_for(5)
        release.install(changed, verb="upgrade")
        assert _settings(release)["router"]["policy"] == "shortest"
        release.helm("rollback", RELEASE, "--wait", "--timeout", "120s")
        assert "policy" not in _settings(release)["router"]
        answered = load.stop()
    assert len(answered) > 50
    check(answered, max_tokens=32)


def _settings(kube: Kube) -> dict[str, dict[str, object]]:
    mounted = kube.kubectl("exec", f"deployment/{RELEASE}-router", "--", "cat", "/etc/splitwiser/settings.json")
    settings: dict[str, dict[str, object]] = json.loads(mounted)
    return settings


def _restarts(kube: Kube, phase: str) -> int:
    return sum(pod["status"]["containerStatuses"][0]["restartCount"] for pod in kube.pods(phase))


def _kill(instance: str) -> None:
    """SIGKILL to the service of one pod: the tests run on its node, and see its processes."""
    (pid,) = (
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if f"--instance={instance}".encode() in _command_line(process)
    )
    os.kill(pid, signal.SIGKILL)


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
