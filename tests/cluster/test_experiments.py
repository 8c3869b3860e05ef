"""Experiments as Jobs that the chart makes: they measure the release through its router and log their result."""

import json
from typing import Any

from tests.cluster.conftest import wait_until
from tests.cluster.kube import Kube

NAME = "interference"


def test_job_leaves_its_result_in_its_log(plain: Kube) -> None:
    plain.start({"experiments": {"run": [{"name": NAME, "quick": True}]}}, verb="upgrade")
    job = job_of(plain, NAME)
    plain.kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=280s")
    log = plain.kubectl("logs", f"job/{job}", "--container", "experiment")
    result = json.loads(log[log.index("{") :])
    assert result["experiment"] == NAME
    assert result["endpoint"]
    assert result["complete"]
    assert result["samples"]


def test_unknown_experiment_says_so_in_its_termination_message(plain: Kube) -> None:
    plain.start({"experiments": {"run": [{"name": "astrology"}]}}, verb="upgrade")
    job = job_of(plain, "astrology")
    wait_until(lambda: bool(ended(plain, job)), "end of the Job's pod")
    (state,) = ended(plain, job)
    assert state["exitCode"] != 0
    assert "astrology" in state["message"]
    assert "help:" in state["message"]


def job_of(kube: Kube, experiment: str) -> str:
    (job,) = kube.get("jobs", f"splitwiser.io/experiment={experiment}")
    name: str = job["metadata"]["name"]
    return name


def ended(kube: Kube, job: str) -> list[dict[str, Any]]:
    """How the experiment containers of the Job's pods ended, as far as they have."""
    states = [pod["status"].get("containerStatuses", [{}])[0] for pod in kube.get("pods", f"job-name={job}")]
    return [state["state"]["terminated"] for state in states if "terminated" in state.get("state", {})]
