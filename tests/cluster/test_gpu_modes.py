"""The other ways to share a GPU, as far as a node without one goes: to NVIDIA's daemon, which no image here has, and to
NVIDIA's DRA driver, whose devices are announced here by hand."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.conftest import wait_until
from tests.cluster.kube import RELEASE, Kube
from tests.cluster.test_gpu import SIM_IN_GPU_PODS

CLASS = "gpu.nvidia.com"
DAEMONSET = {"mode": "daemonset", "daemonset": {"runtimeClassName": ""}}
ANY_NODE = {"nodeSelector": {"kubernetes.io/os": "linux"}}
WHAT_A_WORKER_SEES = """
import os
print(os.environ["CUDA_MPS_PIPE_DIRECTORY"], os.path.isdir("/run/splitwiser-mps/pipe"), os.path.ismount("/dev/shm"))
"""
DRIVER: list[dict[str, Any]] = [
    {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": CLASS},
        "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{CLASS}'"}}]},
    },
    {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": "node-gpus"},
        "spec": {
            "driver": CLASS,
            "nodeName": "node",
            "pool": {"name": "node", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "gpu-0"}],
        },
    },
]


@pytest.fixture
def driver(kube: Kube, node: None) -> Iterator[None]:
    """What NVIDIA's driver announces. It is the whole cluster's, so only one of our own gets it."""
    kube.apply(*DRIVER)
    yield
    for announced in DRIVER:
        kube.kubectl("delete", announced["kind"], announced["metadata"]["name"])


def test_the_daemonset_starts_up_to_nvidias_daemon(kube: Kube) -> None:
    kube.start(SIM_IN_GPU_PODS | {"mps": DAEMONSET, "worker": ANY_NODE})
    wait_until(lambda: "nvidia-cuda-mps-control" in _why_not(kube), "word on the daemon")
    (pod,) = kube.pods("mps")
    (handed_over,) = pod["status"]["initContainerStatuses"]
    assert handed_over["state"]["terminated"]["exitCode"] == 0


def test_both_workers_meet_in_the_daemons_folders(kube: Kube) -> None:
    for phase in ("prefill", "decode"):
        kube.kubectl("rollout", "status", f"deployment/{RELEASE}-{phase}", "--timeout=90s")
        seen = kube.kubectl("exec", f"deployment/{RELEASE}-{phase}", "--", "python", "-c", WHAT_A_WORKER_SEES)
        assert seen.split() == ["/run/splitwiser-mps/pipe", "True", "True"]
    kube.kubectl("exec", f"deployment/{RELEASE}-prefill", "--", "touch", "/dev/shm/met")
    kube.kubectl("exec", f"deployment/{RELEASE}-decode", "--", "test", "-e", "/dev/shm/met")


def test_both_workers_are_given_the_one_device_of_their_claim(kube: Kube, driver: None) -> None:
    kube.start(SIM_IN_GPU_PODS | {"mps": {"mode": "dra"}}, verb="upgrade")
    wait_until(lambda: len(_claim(kube).get("reservedFor", ())) == 2, "claim by both workers")
    (device,) = _claim(kube)["allocation"]["devices"]["results"]
    assert (device["driver"], device["device"]) == (CLASS, "gpu-0")
    wait_until(lambda: f"{CLASS} is not registered" in _warnings(kube), "the kubelet's word on the driver")


def _why_not(kube: Kube) -> str:
    """What Kubernetes says of the daemon's container."""
    states = [status for pod in kube.pods("mps") for status in pod["status"].get("containerStatuses", ())]
    return str([(status["state"], status["lastState"]) for status in states])


def _claim(kube: Kube) -> dict[str, Any]:
    (claim,) = kube.get("resourceclaims")
    status: dict[str, Any] = claim.get("status", {})
    return status


def _warnings(kube: Kube) -> str:
    return " ".join(event["message"] for event in kube.get("events") if event["type"] == "Warning")
