"""Policies, budgets, monitoring, experiments and rights: what runs a release for long."""

import json
import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from splitwiser.telemetry.metrics import DecodeMetrics, PrefillMetrics, RouterMetrics, StoreMetrics
from tests.support.helm import CHART, Helm, Object
from tests.support.manifests import Pod, named, of_kind, pods, selects

DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text())


def test_who_submits_experiments_may_do_no_more_than_that(helm: Helm) -> None:
    objects = helm.objects({"experiments": {"serviceAccount": {"create": True}}})
    assert named(objects, "Role", "splitwiser-experiments")["rules"] == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "watch", "delete"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch"]},
    ]
    binding = named(objects, "RoleBinding", "splitwiser-experiments")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "splitwiser-experiments", "namespace": "llm"}]
    assert of_kind(objects, "ClusterRole") == of_kind(objects, "ClusterRoleBinding") == []


def test_nobody_may_make_jobs_unless_it_is_asked_for(helm: Helm) -> None:
    """Who may can run any pod of the namespace."""
    objects = helm.objects({"experiments": {"run": [{"name": "goodput"}]}})
    assert of_kind(objects, "Role") == of_kind(objects, "RoleBinding") == []
    assert [one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")] == ["splitwiser"]


def _metric_names() -> set[str]:
    names: set[str] = set()
    for metrics in (RouterMetrics(), PrefillMetrics(), DecodeMetrics(), StoreMetrics()):
        metrics.watch_pages(dict)
        if not isinstance(metrics, StoreMetrics):
            metrics.watch_requests(lambda: 0, lambda: 0)
        names |= _of_registry(metrics.registry)
    return names


def _of_registry(registry: CollectorRegistry) -> set[str]:
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {one.name + ending for one in registry.collect() for ending in endings.get(one.type, ())}


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_the_dashboard_asks_for_metrics_that_exist(panel: dict[str, Any]) -> None:
    asked = {name for target in panel["targets"] for name in re.findall(r"splitwiser_\w+", target["expr"])}
    assert asked
    assert asked <= _metric_names()


def test_every_pod_with_metrics_is_scraped_once(helm: Helm) -> None:
    for topology in ("pods", "pod"):
        objects = helm.objects({"topology": topology, "serviceMonitor": {"enabled": True}})
        (monitor,) = of_kind(objects, "ServiceMonitor")
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (port,) = [one["port"] for one in monitor["spec"]["endpoints"]]
        scraped = [
            (pod.name, one["targetPort"])
            for service in of_kind(objects, "Service")
            if wanted <= service["metadata"]["labels"].items()
            for one in service["spec"]["ports"]
            if one["name"] == port
            for pod in pods(objects)
            if selects(service["spec"]["selector"], pod)
        ]
        served = [
            (pod.name, one["containerPort"])
            for pod in pods(objects)
            for container in pod.services
            for one in container["ports"]
            if one["name"].endswith("metrics")
        ]
        assert sorted(scraped) == sorted(served)


FLOWS = [
    ("router", "prefill", 50052),
    ("router", "decode", 50053),
    ("router", "redis", 6379),
    ("prefill", "redis", 6379),
    ("decode", "redis", 6379),
    ("router", "otel", 4317),
    ("decode", "otel", 4317),
    ("experiment", "router", 50051),
    ("test", "router", 50051),
]
NO_FLOWS = [
    ("prefill", "decode", 50053),
    ("redis", "router", 50051),
    ("test", "prefill", 50052),
    ("experiment", "redis", 6379),
    ("store", "redis", 6379),
    ("router", "store", 50054),
]


@pytest.fixture(scope="module", params=["pods", "pod"])
def guarded(request: pytest.FixtureRequest, helm: Helm) -> list[Object]:
    """A release with every policy, in either topology."""
    return helm.objects(
        {
            "topology": request.param,
            "networkPolicy": {"enabled": True, "egress": True, "routerFrom": [{"podSelector": {}}]},
            "otel": {"collector": {"enabled": True}},
            "experiments": {"run": [{"name": "goodput"}]},
        }
    )


def _pod(objects: list[Object], component: str) -> Pod:
    """The pod of a component, or the one that it shares."""
    here = {pod.component: pod for pod in pods(objects)}
    return here.get(component) or here["engine"]


def _allows(objects: list[Object], direction: str, pod: Pod, peer: Pod, port: int) -> bool:
    """Whether the policies of one side let it speak with the other; a side without a policy may."""
    mine = [
        one["spec"]
        for one in of_kind(objects, "NetworkPolicy")
        if selects(one["spec"]["podSelector"]["matchLabels"], pod)
    ]
    bound = [spec for spec in mine if direction.capitalize() in spec["policyTypes"]]
    side = "from" if direction == "ingress" else "to"
    return not bound or any(
        _matches(rule.get(side), peer) and port in [one["port"] for one in rule.get("ports", [{"port": port}])]
        for spec in bound
        for rule in spec[direction]
    )


def _matches(peers: list[Object] | None, pod: Pod) -> bool:
    own = (one["podSelector"].get("matchLabels") for one in peers or [] if "podSelector" in one)
    return peers is None or any(labels is not None and selects(labels, pod) for labels in own)


@pytest.mark.parametrize(("source", "target", "port"), FLOWS)
def test_policies_let_services_speak(guarded: list[Object], source: str, target: str, port: int) -> None:
    here, there = _pod(guarded, source), _pod(guarded, target)
    assert _allows(guarded, "egress", here, there, port)
    assert _allows(guarded, "ingress", there, here, port)


@pytest.mark.parametrize(("source", "target", "port"), NO_FLOWS)
def test_policies_let_nobody_else_speak(guarded: list[Object], source: str, target: str, port: int) -> None:
    here, there = _pod(guarded, source), _pod(guarded, target)
    if here.name == there.name or (here.component == "engine" and target == "redis"):
        pytest.skip("one pod")
    allowed = [_allows(guarded, "egress", here, there, port), _allows(guarded, "ingress", there, here, port)]
    assert not all(allowed)


def test_an_experiment_runs_against_the_releases_router(helm: Helm) -> None:
    run = [{"name": "goodput", "quick": True, "args": ["--set=plan.window_s=10"]}]
    (job,) = of_kind(helm.objects({"experiments": {"run": run, "resultsClaim": "results"}}), "Job")
    (pod,) = pods([job])
    (container,) = pod.spec["containers"]
    assert container["args"] == [
        *("splitwiser.cli", "experiment", "run", "goodput", "--quick"),
        *("--endpoint=splitwiser-router:50051", "--out=/results/$(JOB)-$(JOB_UID)", "--resume", "--json"),
        "--set=plan.window_s=10",
    ]
    # Every Kubernetes of kubeVersion labels a Job's pods so.
    for name, label in (("JOB", "job-name"), ("JOB_UID", "controller-uid")):
        value = {"fieldRef": {"fieldPath": f"metadata.labels['batch.kubernetes.io/{label}']"}}
        assert {"name": name, "valueFrom": value} in container["env"]
    assert {"name": "results", "mountPath": "/results"} in container["volumeMounts"]
    assert {"name": "results", "persistentVolumeClaim": {"claimName": "results"}} in pod.spec["volumes"]
    assert pod.metadata["labels"]["splitwiser.io/experiment"] == "goodput"


def test_a_changed_experiment_is_another_job_and_the_same_one_stays(helm: Helm) -> None:
    def name(**more: Any) -> str:
        (job,) = of_kind(helm.objects({"experiments": {"run": [{"name": "goodput"}]}, **more}), "Job")
        return str(job["metadata"]["name"])

    assert name() == name(router={"replicas": 2})
    assert name() != name(image={"tag": "2"})


def test_helm_test_runs_in_the_image_that_has_the_client(helm: Helm) -> None:
    pod = named(helm.objects({}), "Pod", "splitwiser-test")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = pod["spec"]["containers"]
    assert container["image"].startswith("splitwiser-experiments:")
    assert {"name": "ROUTER", "value": "splitwiser-router:50051"} in container["env"]
