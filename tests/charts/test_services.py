"""Who runs where, how often, and how they find each other."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from splitwiser.config.load import load_settings
from splitwiser.config.schema import Settings
from splitwiser.routing.discovery import Name, parse_target
from tests.support.helm import Helm, Object
from tests.support.manifests import Pod, named, of_kind, pods, selects

PHASES = ("prefill", "decode")


def _container(objects: list[Object], name: str) -> tuple[Pod, Object]:
    found = [(pod, one) for pod in pods(objects) for one in pod.services if one["name"] == name]
    assert len(found) == 1
    return found[0]


def settings_of(objects: list[Object]) -> dict[str, Any]:
    """The file that all services read."""
    (config_map,) = [one for one in of_kind(objects, "ConfigMap") if "settings.json" in one.get("data", {})]
    settings: dict[str, Any] = json.loads(config_map["data"]["settings.json"])
    return settings


def _settings(objects: list[Object], container: Object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What a service of this container would run with."""
    path = folder / "settings.json"
    path.write_text(json.dumps(settings_of(objects)))
    for variable in container["env"]:
        if variable["name"].startswith("SPLITWISER_"):
            monkeypatch.setenv(variable["name"], variable.get("value", "from-a-secret"))
    return load_settings(path)


@pytest.mark.parametrize("service", ["router", *PHASES, "store"])
def test_every_service_takes_its_settings(
    objects: list[Object], service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, container = _container(objects, service)
    settings = _settings(objects, container, tmp_path, monkeypatch)
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert settings.telemetry.metrics_port in ports.values()
    assert settings.telemetry.metrics_host == "0.0.0.0"
    mounts = [one["mountPath"] for one in container["volumeMounts"]]
    assert str(settings.run_dir) in mounts
    if service != "router":
        assert {str(folder) for folder in (settings.run_dir / settings.store.socket).parents} & set(mounts)


@pytest.mark.parametrize("phase", PHASES)
def test_the_router_finds_the_workers_by_their_headless_service(objects: list[Object], phase: str) -> None:
    _, router = _container(objects, "router")
    pod, worker = _container(objects, phase)
    (flag,) = [one for one in router["args"] if one.startswith(f"--{phase}=")]
    target = parse_target(flag.partition("=")[2], phase)
    assert isinstance(target, Name)
    service = named(objects, "Service", target.host)
    assert service["spec"]["clusterIP"] == "None"
    assert selects(service["spec"]["selector"], pod)
    assert f"--listen=0.0.0.0:{target.port}" in worker["args"]


def test_every_service_leads_to_a_port_of_its_pods(objects: list[Object]) -> None:
    for service in of_kind(objects, "Service"):
        behind = [pod for pod in pods(objects) if selects(service["spec"]["selector"], pod)]
        assert len(behind) == 1, service["metadata"]["name"]
        ports = [port for one in behind[0].spec["containers"] for port in one.get("ports", [])]
        known = {port["name"] for port in ports} | {port["containerPort"] for port in ports}
        assert {one["targetPort"] for one in service["spec"]["ports"]} <= known


def test_there_is_one_store_and_never_two_at_a_time(objects: list[Object]) -> None:
    pod, _ = _container(objects, "store")
    assert pod.owner["spec"]["replicas"] == 1
    assert pod.owner["spec"]["strategy"] == {"type": "Recreate"}


def test_workers_and_store_meet_at_one_socket_on_one_node(objects: list[Object]) -> None:
    found = [_container(objects, name)[0] for name in ("store", *PHASES)]
    sockets = {
        json.dumps(one, sort_keys=True) for pod in found for one in pod.spec["volumes"] if one["name"] == "socket"
    }
    assert len(sockets) == 1
    if len({pod.name for pod in found}) > 1:
        for pod in found:
            terms = pod.spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            near = {phase for phase in PHASES for term in terms if _near(term, phase, found)}
            assert near == set(PHASES)
            assert all(term["topologyKey"] == "kubernetes.io/hostname" for term in terms)


def _near(term: Mapping[str, object], component: str, found: list[Pod]) -> bool:
    selector = term["labelSelector"]
    assert isinstance(selector, dict)
    (expression,) = selector["matchExpressions"]
    (pod,) = [one for one in found if one.component == component]
    return selects(selector["matchLabels"], pod) and component in expression["values"]


def test_a_workers_surge_pod_never_waits_for_what_the_old_one_holds(objects: list[Object]) -> None:
    for phase in PHASES:
        pod, container = _container(objects, phase)
        strategy, limits = pod.owner["spec"]["strategy"], container["resources"].get("limits", {})
        on_gpu = (
            any("gpu" in name for name in limits) or "resourceClaims" in pod.spec or pod.spec.get("runtimeClassName")
        )
        if on_gpu or pod.owner["spec"]["replicas"] == 1:
            assert strategy == {"type": "Recreate"}
        else:
            assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_no_worker_starts_under_a_cap_or_on_a_partition_that_has_not_passed_the_gate(
    objects: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the worker's own environment, and on its own part of the GPU."""
    for phase in PHASES:
        pod, worker = _container(objects, phase)
        settings = _settings(objects, worker, tmp_path, monkeypatch)
        percent = {"prefill": settings.gpu.prefill_sm_percent, "decode": settings.gpu.decode_sm_percent}[phase]
        checks = [one for one in pod.spec.get("initContainers", []) if one["name"] == f"check-{phase}-cap"]
        assert bool(checks) == (percent < 100 or settings.sms(phase) > 0)
        for check in checks:
            assert check["args"][0] == "splitwiser.stack.check_cap"
            assert check["args"][-1] == phase
            for shared in ("image", "env", "resources", "volumeMounts", "securityContext"):
                assert check[shared] == worker[shared]
            variables = {one["name"]: one.get("value") for one in worker["env"]}
            assert variables.get("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "100") == str(percent)


def test_the_router_is_replaced_without_a_gap(objects: list[Object]) -> None:
    pod, container = _container(objects, "router")
    assert pod.owner["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    env = {one["name"]: one.get("value") for one in container["env"]}
    assert int(env["SPLITWISER_DRAIN__LAME_DUCK_S"]) > settings_of(objects)["router"]["max_connection_age_s"] > 0


def test_selectors_match_their_own_pods_and_no_others(objects: list[Object]) -> None:
    for owner in (one for kind in ("Deployment", "DaemonSet") for one in of_kind(objects, kind)):
        selected = [pod for pod in pods(objects) if selects(owner["spec"]["selector"]["matchLabels"], pod)]
        assert [pod.name for pod in selected] == [owner["metadata"]["name"]]


def test_disruption_budgets_leave_a_node_drainable(objects: list[Object]) -> None:
    """A pod that must be where others are cannot come back while their node is drained: no budget may wait for it."""
    for budget in of_kind(objects, "PodDisruptionBudget"):
        (pod,) = [one for one in pods(objects) if selects(budget["spec"]["selector"]["matchLabels"], one)]
        assert (
            budget["spec"].get("maxUnavailable") == 1 or budget["spec"]["minAvailable"] < pod.owner["spec"]["replicas"]
        )
        assert "requiredDuringSchedulingIgnoredDuringExecution" not in pod.spec.get("affinity", {}).get(
            "podAffinity", {}
        )
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_router_is_drained_by_its_budget(helm: Helm) -> None:
    (budget,) = of_kind(helm.objects({"router": {"replicas": 2}}), "PodDisruptionBudget")
    assert budget["metadata"]["name"] == "splitwiser-router"
    assert of_kind(helm.objects({"router": {"pdb": {"enabled": False}}}), "PodDisruptionBudget") == []


def test_ports_say_whether_they_speak_tls(objects: list[Object]) -> None:
    """For gateways and meshes. The store's serves health alone, in plaintext; the collector speaks nothing else."""
    tls = "tls" in settings_of(objects)
    for service in of_kind(objects, "Service"):
        plain = not tls or service["metadata"]["labels"]["app.kubernetes.io/component"] in ("store", "otel")
        spoken = {one["appProtocol"] for one in service["spec"]["ports"] if "appProtocol" in one}
        assert spoken <= ({"kubernetes.io/h2c", "http"} if plain else {"https"})


def _templates(objects: list[Object]) -> dict[str, str]:
    return {pod.component: json.dumps([pod.metadata, pod.spec]) for pod in pods(objects) if pod.services}


@pytest.mark.parametrize(
    ("change", "restarted"),
    [
        ({"settings": {"router": {"policy": "shortest"}}}, {"router"}),
        ({"router": {"replicas": 3}}, set()),
        ({"settings": {"prefill": {"chunk_tokens": 64}}}, {"router", "prefill", "decode"}),
        ({"settings": {"pool": {"pages": 64}}}, {"router", "prefill", "decode", "store"}),
        ({"router": {"image": {"tag": "2"}}}, {"router"}),
        ({"worker": {"image": {"tag": "2"}}}, {"prefill", "decode"}),
        ({"decode": {"podLabels": {"a": "b"}}}, {"decode"}),
        ({"otel": {"endpoint": "http://a:4317"}}, {"router", "prefill", "decode"}),
        ({"settings": {"telemetry": {"record_content": True}}}, {"router", "prefill", "decode"}),
        ({"settings": {"telemetry": {"log_level": "debug"}}}, {"router", "prefill", "decode", "store"}),
    ],
)
def test_a_change_restarts_those_whom_it_concerns(helm: Helm, change: dict[str, object], restarted: set[str]) -> None:
    before, after = _templates(helm.objects({})), _templates(helm.objects(change))
    assert {component for component in before if before[component] != after[component]} == restarted
