"""The Job of an experiment is one that every Kubernetes takes, hardened, and runs what was asked for."""

from typing import Any

import pytest

from splitwiser.cluster.job import JobOptions, experiment_job, router_address
from splitwiser.errors import ConfigurationError
from tests.support.kube_schema import schema_errors

FULL = JobOptions(
    "handoff", "lab", "registry/image:1", quick=True, sets=("plan.seed=1",), claim="c", tls_secret="s", gpus=1
)


def container(job: dict[str, Any]) -> dict[str, Any]:
    (only,) = job["spec"]["template"]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("version", ["1.27", "1.31", "1.36"])
@pytest.mark.parametrize("options", [JobOptions("handoff"), FULL], ids=["least", "full"])
def test_every_kubernetes_takes_it(options: JobOptions, version: str) -> None:
    assert schema_errors(experiment_job(options), version) == []


def test_it_measures_the_release_and_prints_the_result() -> None:
    assert container(experiment_job(JobOptions("handoff")))["args"][:5] == [
        *("splitwiser.cli", "experiment", "run", "handoff", "--json")
    ]
    arguments = container(experiment_job(FULL))["args"]
    assert "--endpoint=lab-splitwiser-router:50051" in arguments
    assert "--quick" in arguments
    assert "--set=plan.seed=1" in arguments


def test_the_release_names_its_router_as_the_chart_does() -> None:
    assert router_address("splitwiser") == "splitwiser-router:50051"
    assert router_address("my-splitwiser") == "my-splitwiser-router:50051"
    assert router_address("lab") == "lab-splitwiser-router:50051"


def test_without_an_endpoint_the_pod_runs_stacks_of_its_own() -> None:
    arguments = container(experiment_job(JobOptions("recovery", endpoint="")))["args"]
    assert not [argument for argument in arguments if argument.startswith("--endpoint")]


def test_its_pod_passes_the_restricted_standard() -> None:
    pod = experiment_job(FULL)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    hardened = container(experiment_job(FULL))["securityContext"]
    assert hardened["readOnlyRootFilesystem"]
    assert hardened["allowPrivilegeEscalation"] is False
    assert hardened["capabilities"] == {"drop": ["ALL"]}
    assert {next(iter(set(volume) - {"name"})) for volume in pod["volumes"]} == {
        *("persistentVolumeClaim", "emptyDir", "secret")
    }


def test_its_name_is_its_own_and_fits_a_label() -> None:
    names = {experiment_job(JobOptions("handoff", "r" * 53))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert max(map(len, names)) <= 63


@pytest.mark.parametrize("name", ["", "Upper", "a b", "../x", "-x", "x" * 64])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        experiment_job(JobOptions(name))
