"""The GPU form of the chart against a device plugin that acts as NVIDIA's does under MPS. Nothing computes on a GPU."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.conftest import CLIENT_POD, wait_until
from tests.cluster.kube import Kube

RESOURCE = "nvidia.com/gpu"
# Pods as for a GPU, in which the services run as without one: these variables win over the chart's settings.
SIM_IN_GPU_PODS = {
    "device": "gpu",
    "engine": "transformers",
    "model": "none",
    "pods": {
        "extraEnv": [
            {"name": "SPLITWISER_ENGINE__KIND", "value": "sim"},
            {"name": "SPLITWISER_ENGINE__MODEL", "value": ""},
            {"name": "SPLITWISER_ENGINE__DEVICE", "value": "cpu"},
            {"name": "SPLITWISER_GPU__PREFILL_SM_PERCENT", "value": "100"},
            {"name": "SPLITWISER_GPU__DECODE_SM_PERCENT", "value": "100"},
        ]
    },
}


@pytest.fixture(autouse=True)
def pods_left(kube: Kube) -> Iterator[None]:
    yield
    kube.kubectl("delete", "pod", "asks-for-gpus", "--ignore-not-found")


def ask_for(kube: Kube, replicas: int) -> None:
    """A pod that wants so many replicas of the GPU."""
    container = CLIENT_POD["spec"]["containers"][0] | {"resources": {"limits": {RESOURCE: replicas}}}
    spec = CLIENT_POD["spec"] | {"containers": [container]}
    kube.apply(CLIENT_POD | {"metadata": {"name": "asks-for-gpus"}, "spec": spec})


def status(kube: Kube) -> dict[str, Any]:
    (pod,) = (pod for pod in kube.get("pods") if pod["metadata"]["name"] == "asks-for-gpus")
    found: dict[str, Any] = pod["status"]
    return found


def test_more_than_one_replica_is_refused(kube: Kube, node: None) -> None:
    ask_for(kube, 2)
    wait_until(lambda: status(kube)["phase"] == "Failed", "refusal")
    assert status(kube)["reason"] == "UnexpectedAdmissionError"
    assert "maximum request size for shared resources is 1" in status(kube)["message"]


def test_chart_refuses_more_workers_than_replicas(kube: Kube) -> None:
    refused = kube.refused({"device": "gpu", "engine": "vllm", "model": "m", "decode": {"replicas": 2}})
    assert "prefill and decode ask for 3 replicas of the GPU" in refused


def test_both_workers_get_their_replica_and_a_third_pod_waits(kube: Kube, node: None) -> None:
    kube.install(SIM_IN_GPU_PODS)
    for component in ("prefill", "decode"):
        (pod,) = kube.pods(component)
        assert pod["spec"]["containers"][0]["resources"]["limits"][RESOURCE] == "1"
        seen = kube.kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", WHAT_A_POD_SEES)
        assert seen.split() == [f"/mps/{RESOURCE}/pipe", "True", "True"]
    ask_for(kube, 1)
    wait_until(lambda: bool(status(kube).get("conditions")), "verdict of the scheduler")
    (verdict,) = status(kube)["conditions"]
    assert (status(kube)["phase"], verdict["reason"]) == ("Pending", "Unschedulable")
    assert f"Insufficient {RESOURCE}" in verdict["message"]
    with kube.load(20, per_second=20) as load:
        assert all(one.is_right(32) for one in load.finish(20))


WHAT_A_POD_SEES = """
import os
pipe = os.environ["CUDA_MPS_PIPE_DIRECTORY"]
print(pipe, os.path.ismount(pipe), os.path.ismount("/dev/shm"))
"""
