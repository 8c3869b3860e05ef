"""What cannot work is refused before anything is made, with its cause and what to do."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.helm import Helm, Refused

GPU = {"engine": "vllm", "device": "gpu", "model": "org/model"}
ANOTHER = {"podSecurityContext": {"runAsUser": 1000}}


def gpu(mode: str = "devicePlugin", **more: Any) -> dict[str, Any]:
    """Values of a release on a GPU."""
    return {**GPU, "mps": {"mode": mode}, **more}


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("sim on a GPU", {"device": "gpu"}, "engine sim computes on a CPU", "set device=cpu"),
    ("no model", {"engine": "transformers"}, "engine transformers has no model", "set model"),
    ("no volume", {"engine": "transformers", "model": "/models/a"}, "no volume holds it", "models.existingClaim"),
    ("two volumes", {"models": {"existingClaim": "a", "hostPath": "/b"}}, "models.hostPath are both set", "leave one"),
    ("cap over the plugin's", gpu(prefill={"smPercent": 51}), "at most 100/2 = 50 %", "mps.mode=daemonset or dra"),
    (
        "cap over four replicas'",
        GPU | {"mps": {"devicePlugin": {"replicas": 4}}, "decode": {"smPercent": 26}},
        "decode.smPercent is 26, and under the device plugin a worker gets at most 100/4 = 25 %",
        "set it to at most 25",
    ),
    (
        "a partition under the plugin",
        gpu(settings={"gpu": {"decode_sms": 48}}),
        "settings.gpu.decode_sms is set, and the device plugin caps each worker",
        "mps.mode=daemonset or dra",
    ),
    ("cap without MPS", gpu("none", decode={"smPercent": 50}), "mps.mode none has no MPS", "another mps.mode"),
    ("cap on a CPU", {"prefill": {"smPercent": 50}}, "device is cpu", "leave prefill.smPercent out"),
    ("a third worker", gpu(prefill={"replicas": 2}), "ask for 3 replicas of the GPU, and the plugin makes 2", "lower"),
    ("a daemon everywhere", gpu("daemonset"), "on every node, also on those without a GPU", "worker.nodeSelector"),
    ("daemon in one pod", gpu("daemonset", topology="pod"), "topology pod has none", "set topology=pods"),
    ("two users", {"decode": ANOTHER}, "different users: 1000, 65532", "set one runAsUser, in pods.podSecurityContext"),
    (
        "two users by container",
        {"prefill": {"securityContext": {"runAsUser": 1}}},
        "different users: 1, 65532",
        "MPS serves one user at a time",
    ),
    ("the store's user", {"store": ANOTHER}, "different users", "peers of its own user alone"),
    ("root", {"pods": {"podSecurityContext": {"runAsUser": 0}}}, "store would run as root", "another user than 0"),
    (
        "root by container",
        {"prefill": {"securityContext": {"runAsUser": 0}}},
        "prefill would run as root",
        "another user than 0",
    ),
    (
        "two in one pod",
        {"topology": "pod", "decode": {"replicas": 2}},
        "one prefill and one decode worker",
        "topology=pods",
    ),
    ("socket in one pod", {"topology": "pod", "socket": {"hostPath": "/a"}}, "socket.hostPath is set", "leave"),
    ("no Redis", {"redis": {"enabled": False}}, "there is no Redis", "set one of them"),
    (
        "two Redises",
        {"redis": {"external": {"url": "redis://a"}}},
        "redis.external.url are both set",
        "redis.enabled=false",
    ),
    (
        "password in a URL",
        {"redis": {"enabled": False, "external": {"url": "redis://:secret@a:6379"}}},
        "redis.external.url holds a password",
        "redis.existingSecret",
    ),
    ("no certificate", {"tls": {"enabled": True}}, "no Secret is named", "tls.crt, tls.key and ca.crt"),
    (
        "two collectors",
        {"otel": {"endpoint": "http://a:1", "collector": {"enabled": True}}},
        "both set",
        "one collector",
    ),
    ("undrainable", {"router": {"pdb": {"minAvailable": 1}}}, "no node of it could ever be drained", "router.replicas"),
    (
        "a router that does not let requests end",
        {"router": {"lameDuckSeconds": 55}},
        "the terminationGracePeriodSeconds of router leave requests in flight no time",
        "above router.lameDuckSeconds + 5",
    ),
    (
        "a pod that does not let requests end",
        {"topology": "pod", "store": {"terminationGracePeriodSeconds": 5}},
        "the terminationGracePeriodSeconds of prefill leave",
        "raise them above 5",
    ),
    (
        "the chart's setting",
        {"settings": {"redis": {"url": "redis://a"}}},
        "settings.redis.url is the chart's",
        "value",
    ),
    ("two results", {"experiments": {"resultsClaim": "a", "resultsHostPath": "/b"}}, "both set", "leave one"),
    ("twice", {"experiments": {"run": [{"name": "a"}, {"name": "a"}]}}, "experiments.run has a twice", "once"),
    (
        "over /dev/shm",
        gpu(decode={"extraVolumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]}),
        "decode.extraVolumeMounts: /dev/shm is not free",
        "/dev/shm belongs to the MPS daemon",
    ),
]


@pytest.mark.parametrize(("values", "cause", "remedy"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_with_cause_and_help(helms: Sequence[Helm], values: dict[str, Any], cause: str, remedy: str) -> None:
    for helm in helms:
        with pytest.raises(Refused) as refused:
            helm.text(values)
        error, remedies = str(refused.value).split("error: ", 1)[1].split("\nhelp: ")
        assert cause in error
        assert remedy in remedies


def test_a_claim_for_a_gpu_needs_a_kubernetes_that_knows_them(helm: Helm) -> None:
    helm.text(gpu("dra"), kube_version="1.32.0")
    with pytest.raises(Refused, match=r"mps.mode dra needs Kubernetes 1.32 or newer; this is v1.31.9"):
        helm.text(gpu("dra"), kube_version="1.31.9")


@pytest.mark.parametrize("percent", [1, 50])
def test_a_cap_within_the_plugins_is_taken(helm: Helm, percent: int) -> None:
    assert f'value: "{percent}"' in helm.text(gpu(prefill={"smPercent": percent}))


MISTYPED: list[tuple[str, dict[str, Any]]] = [
    ("/engine", {"engine": "tensorrt"}),
    ("/device", {"device": "tpu"}),
    ("/topology", {"topology": "daemon"}),
    ("/mps/mode", {"mps": {"mode": "exclusive"}}),
    ("/mps/devicePlugin/replicas", {"mps": {"devicePlugin": {"replicas": 1}}}),
    ("/mps/devicePlugin/resourceName", {"mps": {"devicePlugin": {"resourceName": "gpu"}}}),
    ("/prefill/smPercent", {"prefill": {"smPercent": 101}}),
    ("/prefill/smPercent", {"prefill": {"smPercent": 0}}),
    ("/decode/priority", {"decode": {"priority": "high"}}),
    ("/router/replicas", {"router": {"replicas": 0}}),
    ("/router/replicas", {"router": {"replicas": "two"}}),
    ("/router/service/type", {"router": {"service": {"type": "ExternalName"}}}),
    ("/store/image/digest", {"store": {"image": {"digest": "latest"}}}),
    ("/pods/securityContext/privileged", {"pods": {"securityContext": {"privileged": True}}}),
    ("/pods/probes/periodSeconds", {"pods": {"probes": {"periodSeconds": 0}}}),
    ("/redis/external/url", {"redis": {"external": {"url": "http://a"}}}),
    ("/socket/hostPath", {"socket": {"hostPath": "relative"}}),
    ("/models/existingClaim", {"models": {"existingClaim": "Not_A_Name"}}),
    ("/otel/endpoint", {"otel": {"endpoint": "collector:4317"}}),
    ("/experiments/run/0/name", {"experiments": {"run": [{"name": "../up"}]}}),
    ("/experiments/run/0", {"experiments": {"run": [{"quick": True}]}}),
    ("/settings/router", {"settings": {"router": "fcfs"}}),
    ("/image/pullPolicy", {"image": {"pullPolicy": "Sometimes"}}),
    ("", {"hostIPC": True}),
    ("", {"prefil": {}}),
    ("/prefill", {"prefill": {"hostIPC": True}}),
    ("/prefill", {"prefill": {"image": {"tag": "1"}}}),
    ("/decode", {"decode": {"strategy": {"type": "RollingUpdate"}}}),
    ("/store", {"store": {"replicas": 2}}),
    ("/tls", {"tls": {"key": "secret"}}),
    # A budget for what shares a node would keep that from being drained.
    ("/pods", {"pods": {"pdb": {"enabled": True}}}),
    ("/decode", {"decode": {"pdb": {"minAvailable": 1}}}),
]


@pytest.mark.parametrize(("where", "values"), MISTYPED, ids=[f"{where or '/'} {values}" for where, values in MISTYPED])
def test_the_schema_refuses_wrong_names_and_values(helms: Sequence[Helm], where: str, values: dict[str, Any]) -> None:
    four, three = helms
    with pytest.raises(Refused, match=rf"at '{where}'"):
        four.text(values)
    with pytest.raises(Refused, match=where.strip("/").replace("/", ".") or r"\(root\)"):
        three.text(values)
