"""`splitwiser experiment submit` with the rights of the chart's service account for it, and no others."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kube import RELEASE, Kube

IMAGE = "localhost/splitwiser-experiments:test"


@pytest.fixture
def kubeconfig(plain: Kube, tmp_path: Path) -> Path:
    """The release's cluster, as its service account splitwiser-experiments."""
    config = json.loads(plain.kubectl("config", "view", "--raw", "--minify", "--output", "json"))
    (user,) = config["users"]
    user["user"] = {"token": plain.kubectl("create", "token", f"{RELEASE}-experiments").strip()}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def submit(plain: Kube, kubeconfig: Path, name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    where = ("--namespace", plain.namespace, "--release", RELEASE, "--image", IMAGE)
    return subprocess.run(
        [sys.executable, "-m", "splitwiser.cli", "experiment", "submit", name, *where, *flags],
        env=os.environ | {"KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def submitted(plain: Kube) -> list[dict[str, Any]]:
    """Jobs that the chart did not make."""
    return plain.get("jobs", "app.kubernetes.io/managed-by!=Helm")


def test_an_experiment_is_submitted_followed_and_collected(plain: Kube, kubeconfig: Path, tmp_path: Path) -> None:
    done = submit(plain, kubeconfig, "handoff", "--quick", f"--out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["endpoint"] == f"{RELEASE}-router:50051"
    assert result["samples"]
    assert "</html>" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "experiment.log").read_text()
    assert submitted(plain) == []


# Name, flags, and a word that the answer must have.
FAILS = {
    "unknown": ("handof", (), "did you mean handoff?"),
    "no image": ("handoff", ("--image", "localhost/splitwiser-absent:test"), "--image"),
    "no GPU": ("handoff", ("--gpus", "9", "--start-timeout", "10"), "nvidia.com/gpu"),
}


def test_what_fails_is_told_in_the_pods_words(plain: Kube, kubeconfig: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        running = {
            case: pool.submit(submit, plain, kubeconfig, name, *flags, f"--out={tmp_path / case}")
            for case, (name, flags, _) in FAILS.items()
        }
    for case, (_, _, word) in FAILS.items():
        done = running[case].result()
        assert done.returncode == 1, case
        assert word in done.stderr
    assert submitted(plain) == []


def test_the_account_may_do_no_more_than_that(plain: Kube, kubeconfig: Path) -> None:
    for verb, kind, allowed in (
        ("create", "jobs", True),
        ("get", "pods/log", True),
        ("create", "pods", False),
        ("get", "secrets", False),
        ("delete", "deployments", False),
    ):
        asked = plain.run("kubectl", f"--kubeconfig={kubeconfig}", "auth", "can-i", verb, kind)
        assert (asked.stdout.strip() == "yes") is allowed, (verb, kind)
