"""Owns the reading of Kubernetes objects: which pods they make, what is in those, and what refers to what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.helm import Object

WORKLOADS = ("Deployment", "DaemonSet", "Job", "Pod")


@dataclass(frozen=True)
class Pod:
    """A pod as some object would make it. owner: that object."""

    owner: Object
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.owner["metadata"]["name"])

    @property
    def component(self) -> str:
        return str(self.metadata["labels"]["app.kubernetes.io/component"])

    @property
    def containers(self) -> list[Object]:
        """Those that start first included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def services(self) -> list[Object]:
        """Containers that run one of the project's services."""
        return [one for one in self.spec["containers"] if str(one.get("args", [""])[0]).startswith("services.")]

    def user_of(self, container: Mapping[str, Any]) -> int:
        """The user that this container runs as."""
        whole = self.spec["securityContext"]["runAsUser"]
        return int(container.get("securityContext", {}).get("runAsUser", whole))


def pods(objects: Sequence[Object]) -> list[Pod]:
    """Every pod that these objects make."""
    return [
        Pod(one, one["metadata"], one["spec"])
        if one["kind"] == "Pod"
        else Pod(one, one["spec"]["template"]["metadata"], one["spec"]["template"]["spec"])
        for one in objects
        if one["kind"] in WORKLOADS
    ]


def of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    """The objects of this kind."""
    return [one for one in objects if one["kind"] == kind]


def named(objects: Sequence[Object], kind: str, name: str) -> Object:
    """The one object of this kind and name."""
    (found,) = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def selects(labels: Mapping[str, str], pod: Pod) -> bool:
    """Whether a selector's matchLabels match the pod."""
    return all(pod.metadata["labels"].get(name) == value for name, value in labels.items())


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in an object with its path."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from walk(inner, f"{path}.{key}")
