"""Owns the Job that runs one experiment in a cluster: the object that `experiment submit` creates, or prints.

Its pod passes the Pod Security Standard "restricted". What it measured is the last line of its log.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from splitwiser.errors import ConfigurationError

CONTAINER: Final = "experiment"
RESULTS: Final = "/results"
TLS: Final = "/etc/splitwiser/tls"
USER_ID: Final = 65532
CHART: Final = "splitwiser"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class JobOptions:
    """endpoint: the router's HOST:PORT; None for the release's own, empty to run stacks in the pod itself.

    claim: a PersistentVolumeClaim for the results; empty keeps them in the log alone. tls_secret: with tls.crt, tls.key
    and ca.crt. keep_s: how long a finished Job stays unless it is deleted before.
    """

    experiment: str
    release: str = CHART
    image: str = "splitwiser-experiments"
    endpoint: str | None = None
    quick: bool = False
    sets: Sequence[str] = ()
    claim: str = ""
    tls_secret: str = ""
    gpus: int = 0
    keep_s: int = 3600
    deadline_s: int = 7200


def experiment_job(options: JobOptions) -> dict[str, Any]:
    """The batch/v1 Job, under a name that no other has. Raises ConfigurationError for what is no experiment's name."""
    if not NAME.fullmatch(options.experiment):
        raise ConfigurationError(
            f"{options.experiment!r} is no name of an experiment", help="`splitwiser experiment list` has them"
        )
    name = f"{options.release}-{options.experiment}"[:50].rstrip("-") + f"-{secrets.token_hex(3)}"
    labels = {
        "app.kubernetes.io/name": CHART,
        "app.kubernetes.io/instance": options.release,
        # The chart's NetworkPolicy lets these pods reach the router.
        "app.kubernetes.io/component": "experiment",
        "splitwiser.io/experiment": options.experiment,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": options.deadline_s,
            "ttlSecondsAfterFinished": options.keep_s,
            "template": {"metadata": {"labels": dict(labels)}, "spec": _pod(options, name)},
        },
    }


def router_address(release: str) -> str:
    """Where the chart's router of this release listens."""
    return f"{release if CHART in release else f'{release}-{CHART}'}-router:50051"


def _pod(options: JobOptions, name: str) -> dict[str, Any]:
    claim = {"persistentVolumeClaim": {"claimName": options.claim}}
    volumes: list[dict[str, Any]] = [
        {"name": "results", **(claim if options.claim else {"emptyDir": {}})},
        {"name": "tmp", "emptyDir": {}},
    ]
    if options.tls_secret:
        volumes.append({"name": "tls", "secret": {"secretName": options.tls_secret}})
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(options, name)],
        "volumes": volumes,
    }


def _container(options: JobOptions, name: str) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [{"name": "results", "mountPath": RESULTS}, {"name": "tmp", "mountPath": "/tmp"}]
    variables = [{"name": "HOME", "value": "/tmp"}]
    if options.tls_secret:
        mounts.append({"name": "tls", "mountPath": TLS, "readOnly": True})
        for setting, file in (("CERT_FILE", "tls.crt"), ("KEY_FILE", "tls.key"), ("CA_FILE", "ca.crt")):
            variables.append({"name": f"SPLITWISER_TLS__{setting}", "value": f"{TLS}/{file}"})
    return {
        "name": CONTAINER,
        "image": options.image,
        "imagePullPolicy": "IfNotPresent",
        "args": _arguments(options, name),
        "env": variables,
        "resources": {"limits": {"nvidia.com/gpu": str(options.gpus)}} if options.gpus else {},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _arguments(options: JobOptions, name: str) -> list[str]:
    endpoint = router_address(options.release) if options.endpoint is None else options.endpoint
    return [
        *("splitwiser.cli", "experiment", "run", options.experiment, "--json", f"--out={RESULTS}/{name}"),
        *([f"--endpoint={endpoint}"] if endpoint else []),
        *(["--quick"] if options.quick else []),
        *(f"--set={text}" for text in options.sets),
    ]
