"""What cannot run is refused by helm, or, where helm was told not to look, by the pod or its place: with the reason."""

from collections.abc import Callable
from typing import Any

from tests.cluster.conftest import wait_until
from tests.cluster.kube import Kube

ABSENT = "nvidia.com/gpu.absent"
NO_PLUGIN = {"device": "gpu", "engine": "vllm", "model": "a/b", "mps": {"devicePlugin": {"resourceName": ABSENT}}}
UNCHECKED = {"clusterChecks": False}
# The image of the tests' workers is the router's, which has no torch.
NO_TORCH = {"engine": "transformers", "model": "a/b"}
NO_SECRET = {"redis": {"existingSecret": "nowhere"}}


def test_a_gpu_that_no_node_offers_is_refused(kube: Kube) -> None:
    assert f"no node offers {ABSENT}" in kube.refused(NO_PLUGIN)


def test_a_gpu_that_no_node_offers_leaves_the_workers_pending(kube: Kube) -> None:
    kube.start(NO_PLUGIN | UNCHECKED)
    verdict = waited(lambda: [*conditions(kube, "prefill"), *conditions(kube, "decode")], "verdict")[0]
    assert verdict["reason"] == "Unschedulable"
    assert f"Insufficient {ABSENT}" in verdict["message"]


def test_an_engine_that_its_image_lacks_is_told_by_the_pod(kube: Kube) -> None:
    kube.start(NO_TORCH | UNCHECKED, verb="upgrade")
    message = waited(lambda: [text for text in kube.last_words("prefill") if text], "termination message")[0]
    assert "torch" in message
    assert "help:" in message


def test_a_missing_secret_is_told_by_the_pod(kube: Kube) -> None:
    kube.start(NO_SECRET | UNCHECKED, verb="upgrade")
    message = waited(lambda: waiting(kube, "router", "CreateContainerConfigError"), "word on the Secret")[0]
    assert 'secret "nowhere" not found' in message


def test_a_forbidden_host_path_is_told_by_the_replica_set(kube: Kube) -> None:
    """Last, as the namespace takes no pod of topology pods from here on."""
    kube.kubectl("label", "namespace", kube.namespace, "pod-security.kubernetes.io/enforce=restricted")
    kube.start(UNCHECKED | {"commonLabels": {"anew": "yes"}}, verb="upgrade")
    message = waited(lambda: forbidden(kube), "refusal")[0]
    assert "hostPath" in message


def waited(ask: Callable[[], list[Any]], what: str) -> list[Any]:
    """What `ask` finds, once it finds anything."""
    found: list[Any] = []

    def asked() -> bool:
        found[:] = ask()
        return bool(found)

    wait_until(asked, what)
    return found


def conditions(kube: Kube, component: str) -> list[dict[str, Any]]:
    return [condition for pod in kube.pods(component) for condition in pod["status"].get("conditions", ())]


def waiting(kube: Kube, component: str, reason: str) -> list[str]:
    """Messages of containers that wait for this reason."""
    states = [state["state"] for pod in kube.pods(component) for state in pod["status"].get("containerStatuses", ())]
    return [state["waiting"]["message"] for state in states if state.get("waiting", {}).get("reason") == reason]


def forbidden(kube: Kube) -> list[str]:
    events = [event["message"] for event in kube.get("events") if event["reason"] == "FailedCreate"]
    return [message for message in events if "violates PodSecurity" in message]
