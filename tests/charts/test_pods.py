"""What holds for every pod of the chart, whatever the values: what it may, whom it shares with, what it names."""

import re
from pathlib import Path

import pytest

from tests.support.helm import Helm, Object
from tests.support.manifests import Pod, named, of_kind, pods, walk

HARDENED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
HAND_OVER = {
    "runAsUser": 0,
    "runAsNonRoot": False,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "FOWNER"]},
}


def test_no_pod_shares_a_namespace_of_its_node(objects: list[Object]) -> None:
    for pod in pods(objects):
        for name in ("hostIPC", "hostPID", "hostNetwork"):
            assert name not in pod.spec, pod.name


def test_dev_shm_is_left_to_the_mps_daemon(objects: list[Object]) -> None:
    """NVIDIA's plugin mounts its daemon's there; the chart does so only for a daemon of its own."""
    for pod in pods(objects):
        volumes = {one["name"]: one for one in pod.spec["volumes"]}
        for container in pod.containers:
            for mount in container["volumeMounts"]:
                if mount["mountPath"].startswith("/dev/shm"):
                    assert of_kind(objects, "DaemonSet"), pod.name
                    assert volumes[mount["name"]]["hostPath"]["path"].endswith("/mps/shm")
    shared = {str(volume) for pod in pods(objects) for volume in pod.spec["volumes"] if volume["name"] == "mps-shm"}
    assert len(shared) <= 1


def test_containers_are_hardened(objects: list[Object]) -> None:
    for pod in pods(objects):
        assert pod.spec["securityContext"]["runAsNonRoot"] is True
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod.containers:
            context = container["securityContext"]
            if container["name"] == "hand-over":
                assert context == HAND_OVER
            else:
                assert context.items() >= HARDENED.items(), (pod.name, container["name"])
                assert pod.user_of(container) != 0


def test_only_folders_on_the_node_are_handed_over_by_root(objects: list[Object]) -> None:
    for pod in pods(objects):
        on_the_node = {one["name"] for one in pod.spec["volumes"] if "hostPath" in one}
        for container in pod.spec.get("initContainers", []):
            if container["name"] == "hand-over":
                assert {mount["name"] for mount in container["volumeMounts"]} <= on_the_node


def test_store_and_workers_run_as_one_user(objects: list[Object]) -> None:
    users = {
        pod.user_of(container)
        for pod in pods(objects)
        for container in pod.spec["containers"]
        if container["name"] in ("store", "prefill", "decode", "mps")
    }
    assert len(users) == 1


def _fields_of_restricted(pod: Pod) -> list[str]:
    """What the Pod Security Standard "restricted" forbids of this pod.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    """
    wrong = [name for name in ("hostIPC", "hostPID", "hostNetwork") if pod.spec.get(name)]
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    wrong += [f"volume {one['name']}" for one in pod.spec["volumes"] if not set(one) - {"name"} <= allowed]
    whole = pod.spec["securityContext"]
    for container in pod.containers:
        own = container["securityContext"]
        wrong += [f"{container['name']}: port on the node" for port in container.get("ports", []) if "hostPort" in port]
        rules = {
            "privileged": not own.get("privileged"),
            "escalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own["capabilities"]["drop"] == ["ALL"]
            and set(own["capabilities"].get("add", [])) <= {"NET_BIND_SERVICE"},
            "root": (own | whole).get("runAsNonRoot") is True
            and own.get("runAsNonRoot", True)
            and pod.user_of(container) != 0,
            "seccomp": (whole | own)["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost"),
        }
        wrong += [f"{container['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return wrong


def test_topology_pod_passes_restricted(objects: list[Object]) -> None:
    if not any(pod.component == "engine" for pod in pods(objects)):
        pytest.skip("topology pods")
    assert {pod.name: _fields_of_restricted(pod) for pod in pods(objects)} == {pod.name: [] for pod in pods(objects)}


def test_topology_pods_needs_its_socket_on_the_node_and_no_more_of_it(objects: list[Object]) -> None:
    """So whoever checks for "restricted" finds what the test above can find."""
    for pod in pods(objects):
        if pod.component == "store":
            assert _fields_of_restricted(pod) == ["volume socket", "hand-over: capabilities", "hand-over: root"]


def test_every_mount_has_its_volume_and_every_volume_a_mount(objects: list[Object]) -> None:
    for pod in pods(objects):
        volumes = [one["name"] for one in pod.spec["volumes"]]
        mounts = {mount["name"] for container in pod.containers for mount in container["volumeMounts"]}
        assert len(volumes) == len(set(volumes)), pod.name
        assert set(volumes) == mounts, pod.name


def test_every_configmap_and_account_is_the_releases_own_or_named_by_values(objects: list[Object]) -> None:
    config_maps = {one["metadata"]["name"] for one in of_kind(objects, "ConfigMap")}
    accounts = {one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")} | {"existing"}
    for pod in pods(objects):
        assert pod.spec["serviceAccountName"] in accounts
        for volume in pod.spec["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in config_maps


def test_no_secret_is_in_an_object(objects: list[Object]) -> None:
    """Passwords and keys come by reference alone, as variables or files."""
    assert of_kind(objects, "Secret") == []
    for one in objects:
        for path, value in walk(one):
            if isinstance(value, dict) and re.search("password|token", str(value.get("name", "")), re.IGNORECASE):
                assert "value" not in value, path


def test_no_token_of_the_api_server_is_mounted(objects: list[Object]) -> None:
    assert all(pod.spec["automountServiceAccountToken"] is False for pod in pods(objects))
    assert all(one["automountServiceAccountToken"] is False for one in of_kind(objects, "ServiceAccount"))


def test_a_pod_says_why_it_ended(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in pod.spec["containers"]:
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_images_are_pinned(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in pod.containers:
            assert re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", container["image"]), container["image"]
            assert not container["image"].endswith(":latest")


@pytest.mark.parametrize(
    ("engine", "device", "repository"),
    [
        ("sim", "cpu", "splitwiser-worker"),
        ("transformers", "cpu", "splitwiser-worker"),
        ("vllm", "cpu", "splitwiser-worker-vllm"),
        ("transformers", "gpu", "splitwiser-worker-gpu"),
        ("vllm", "gpu", "splitwiser-worker-gpu"),
    ],
)
def test_workers_run_in_the_image_that_has_their_engine(helm: Helm, engine: str, device: str, repository: str) -> None:
    objects = helm.objects({"engine": engine, "device": device, "model": "org/model"})
    services = [container for pod in pods(objects) for container in pod.services]
    images = {container["args"][0]: container["image"].rpartition(":")[0] for container in services}
    assert images["services.prefill"] == images["services.decode"] == repository


def test_probes_are_grpcs_own_and_liveness_is_the_process_alone(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in pod.services:
            ports = {
                flag.partition("=")[0]: int(flag.rpartition(":")[2]) for flag in container["args"] if "listen" in flag
            }
            port = ports.get("--health-listen", ports["--listen"])
            assert container["livenessProbe"]["grpc"] == {"port": port, "service": "liveness"}
            assert container["startupProbe"]["grpc"] == {"port": port, "service": "liveness"}
            assert container["readinessProbe"]["grpc"] == {"port": port}


def test_what_is_in_flight_can_end_within_the_grace_period(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in pod.services:
            if container["name"] != "store":
                env = {one["name"]: one.get("value") for one in container["env"]}
                lame_duck_s = int(env.get("SPLITWISER_DRAIN__LAME_DUCK_S", 0))
                in_flight_s = int(env["SPLITWISER_DRAIN__GRACE_S"])
                assert in_flight_s > 0
                assert lame_duck_s + in_flight_s < pod.spec["terminationGracePeriodSeconds"]


def test_the_workers_of_one_pod_have_its_grace_period(helm: Helm) -> None:
    own = {"terminationGracePeriodSeconds": 600}
    objects = helm.objects({"topology": "pod", "store": {"terminationGracePeriodSeconds": 200}, "decode": own})
    (pod,) = [one for one in pods(objects) if one.component == "engine"]
    assert pod.spec["terminationGracePeriodSeconds"] == 200
    drains = [one["value"] for container in pod.containers for one in container["env"] if "GRACE_S" in one["name"]]
    assert drains == ["195", "195"]


@pytest.mark.parametrize("topology", ["pods", "pod"])
def test_no_container_is_without_its_roles_resources(helm: Helm, topology: str) -> None:
    """A namespace with a ResourceQuota takes no pod with one that asks for nothing."""
    resources = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    values = {
        "topology": topology,
        "pods": {"resources": resources},
        "otel": {"collector": {"enabled": True}},
        "experiments": {"run": [{"name": "goodput"}], "resultsHostPath": "/srv/results"},
    }
    for pod in pods(helm.objects(values)):
        for container in pod.containers:
            assert container["resources"] == resources, (pod.name, container["name"])


def test_containers_of_one_pod_share_neither_ports_nor_folders(objects: list[Object]) -> None:
    """But the folder of the store's socket, which is what they share the pod for, and what they only read."""
    for pod in pods(objects):
        ports = [(key, port[key]) for one in pod.spec["containers"] for port in one.get("ports", []) for key in port]
        assert len(ports) == len(set(ports)), pod.name
        written = [
            mount["name"]
            for one in pod.spec["containers"]
            for mount in one["volumeMounts"]
            if not mount.get("readOnly")
        ]
        assert len(written) == len(set(written)), pod.name


def test_names_fit_even_for_the_longest_release(helm: Helm, values_file: Path) -> None:
    """helm takes releases of 53 characters, Kubernetes names of 63, and a Job's pods add 6."""
    for one in helm.objects(values_file, release="r" * 53):
        assert len(one["metadata"]["name"]) <= (57 if one["kind"] == "Job" else 63)


def test_pods_do_not_change_with_the_charts_version(objects: list[Object]) -> None:
    """A store that stays the same stays up, and holds the workers' memory."""
    for pod in pods(objects):
        if pod.owner["kind"] != "Pod":
            assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(pod.metadata["labels"])


def test_settings_are_mounted_where_services_read_them(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in pod.services:
            volume = next(
                one for one in container["volumeMounts"] if one["mountPath"] == "/etc/splitwiser/settings.json"
            )
            source = next(one for one in pod.spec["volumes"] if one["name"] == volume["name"])
            assert volume["subPath"] in named(objects, "ConfigMap", source["configMap"]["name"])["data"]
