"""A pod's status is told in words: what it waits for, and what it said when it failed."""

from typing import Any

from splitwiser.cluster.pod_state import Phase, PodState, read_state


def pod(phase: str, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    containers = {"containerStatuses": [{"name": "experiment", "image": "x:1", "state": state}]} if state else {}
    return {"status": {"phase": phase, **containers, **status}}


def test_a_pod_that_no_node_takes_says_why() -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    state = read_state(pod("Pending", conditions=[condition]))
    assert (state.phase, state.hopeless) == (Phase.WAITING, False)
    assert message in state.cause


def test_a_missing_image_is_hopeless() -> None:
    for reason in ("ErrImageNeverPull", "ImagePullBackOff", "InvalidImageName"):
        state = read_state(pod("Pending", {"waiting": {"reason": reason, "message": "no such image x:1"}}))
        assert state.hopeless
        assert state.cause == f"{reason}: no such image x:1"


def test_a_container_that_is_being_created_is_waited_for() -> None:
    state = read_state(pod("Pending", {"waiting": {"reason": "ContainerCreating"}}))
    assert state == PodState(Phase.WAITING, "its container is being created")


def test_a_failure_is_told_by_its_last_words() -> None:
    words = "Traceback\nerror: there is no experiment 'hand' in /app/experiments\nhelp: did you mean handoff?"
    state = read_state(pod("Failed", {"terminated": {"exitCode": 2, "reason": "Error", "message": words}}))
    assert state == PodState(Phase.FAILED, "there is no experiment 'hand' in /app/experiments", "did you mean handoff?")


def test_a_failure_without_words_has_its_reason() -> None:
    state = read_state(pod("Failed", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}))
    assert state.cause == "OOMKilled, exit code 137"


def test_an_evicted_pod_says_so() -> None:
    evicted = read_state(pod("Failed", reason="Evicted", message="The node was low on resource: memory."))
    assert evicted.cause == "The node was low on resource: memory."


def test_a_pod_that_runs_or_succeeded() -> None:
    assert read_state(pod("Running", {"running": {}})).phase is Phase.RUNNING
    assert read_state(pod("Succeeded", {"terminated": {"exitCode": 0}})).phase is Phase.SUCCEEDED
