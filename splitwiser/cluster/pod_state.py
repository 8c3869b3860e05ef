"""Owns what a pod's status says to a person: what it waits for, that it runs, or how it ended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

HOPELESS = frozenset({"ErrImageNeverPull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"})
"""Reasons to wait that do not pass by themselves."""


class Phase(StrEnum):
    """Where a pod is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PodState:
    """cause: what a waiting pod waits for, or how one failed. help: what a failed one said to do.

    hopeless: it waits for what does not come by itself.
    """

    phase: Phase
    cause: str = ""
    help: str = ""
    hopeless: bool = False


def read_state(pod: Mapping[str, Any]) -> PodState:
    """The state of a v1 Pod, as the API server has it in JSON."""
    status = pod.get("status", {})
    for container in _containers(status):
        if found := _of_container(container):
            return found
    phase = status.get("phase", "Pending")
    if phase == "Failed":
        return PodState(Phase.FAILED, status.get("message") or status.get("reason") or "the pod failed")
    if phase == "Succeeded":
        return PodState(Phase.SUCCEEDED)
    if phase == "Running":
        return PodState(Phase.RUNNING)
    return PodState(Phase.WAITING, _not_scheduled(status) or "its container is being created")


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from status.get("initContainerStatuses", ())
    yield from status.get("containerStatuses", ())


def _of_container(container: Mapping[str, Any]) -> PodState | None:
    """What is decided by this container alone: its failure, or that it cannot start."""
    state = container.get("state", {})
    if (ended := state.get("terminated")) and ended.get("exitCode") != 0:
        return _failure(ended)
    if (waiting := state.get("waiting")) and waiting.get("reason") in HOPELESS:
        words = f"{waiting['reason']}: {waiting.get('message') or container.get('image', '')}"
        return PodState(Phase.WAITING, words, hopeless=True)
    return None


def _failure(ended: Mapping[str, Any]) -> PodState:
    """The last error: and help: lines of the termination message, which is the end of the log."""
    lines = str(ended.get("message", "")).splitlines()
    cause = next((line for line in reversed(lines) if line.startswith("error: ")), "")
    remedy = next((line for line in reversed(lines) if line.startswith("help: ")), "")
    if not cause:
        reason = ended.get("reason", "Error")
        cause = f"{reason}, exit code {ended.get('exitCode')}" + (f": {lines[-1]}" if lines else "")
    return PodState(Phase.FAILED, cause.removeprefix("error: "), remedy.removeprefix("help: "))


def _not_scheduled(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node takes it: {condition.get('message', condition.get('reason', ''))}"
    return ""
