"""`splitwiser experiment submit` with the rights of the chart's service account for it, and no others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.kube import RELEASE, Kube

IMAGE = "localhost/splitwiser-experiments:test"


@pytest.fixture(scope="module")
def kubeconfig(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release's cluster, as its service account splitwiser-experiments."""
    kube.install({})
    config = json.loads(kube.kubectl("config", "view", "--raw", "--minify", "--output", "json"))
    (user,) = config["users"]
    user["user"] = {"token": kube.kubectl("create", "token", f"{RELEASE}-experiments").strip()}
    path = tmp_path_factory.mktemp("submit") / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def submit(kube: Kube, kubeconfig: Path, name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    where = ("--namespace", kube.namespace, "--release", RELEASE, "--image", IMAGE)
    return subprocess.run(
        [sys.executable, "-m", "splitwiser.cli", "experiment", "submit", name, *where, *flags],
        env=os.environ | {"KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_an_experiment_is_submitted_followed_and_collected(kube: Kube, kubeconfig: Path, tmp_path: Path) -> None:
    done = submit(kube, kubeconfig, "handoff", "--quick", f"--out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["endpoint"] == f"{RELEASE}-router:50051"
    assert result["samples"]
    assert "</html>" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "experiment.log").read_text()
    assert kube.get("jobs") == []


def test_what_fails_is_told_in_the_pods_words(kube: Kube, kubeconfig: Path, tmp_path: Path) -> None:
    done = submit(kube, kubeconfig, "handof", f"--out={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "did you mean handoff?" in done.stderr
    done = submit(kube, kubeconfig, "handoff", "--image", "localhost/splitwiser-absent:test", f"--out={tmp_path / 'b'}")
    assert done.returncode == 1
    assert "--image" in done.stderr
    done = submit(kube, kubeconfig, "handoff", "--gpus", "9", "--start-timeout", "3", f"--out={tmp_path / 'c'}")
    assert done.returncode == 1
    assert "nvidia.com/gpu" in done.stderr
    assert kube.get("jobs") == []


def test_the_account_may_do_no_more_than_that(kube: Kube, kubeconfig: Path) -> None:
    for verb, kind, allowed in (
        ("create", "jobs", True),
        ("get", "pods/log", True),
        ("create", "pods", False),
        ("get", "secrets", False),
        ("delete", "deployments", False),
    ):
        asked = kube.run("kubectl", f"--kubeconfig={kubeconfig}", "auth", "can-i", verb, kind)
        assert (asked.stdout.strip() == "yes") is allowed, (verb, kind)
